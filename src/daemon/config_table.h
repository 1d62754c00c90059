#pragma once

#include <yaml-cpp/yaml.h>

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/config_value.h"
#include "krakend/core/result.h"

namespace krakend::daemon {

/// What this version does with a key of the contract.
enum class KeyUse {
  bound,     ///< acted upon
  accepted,  ///< of the contract, without effect here: said once in the log
  refused,   ///< cannot be honoured and must not be ignored: an error that tells the way out
};

/// Where the effective value of a key came from.
struct Provenance {
  enum class Kind { by_default, file, secrets, flag };
  Kind kind = Kind::by_default;
  std::string where;  ///< "agent.yaml:12", "--tracker"
};

/// One line of a component's table. Documentation, schema and --print-config are made of these.
struct ConfigKey {
  std::string path;  ///< "scheduler.conn_tti"
  KeyUse use = KeyUse::bound;
  std::string type;           ///< "duration"; of bound keys
  std::string unit;           ///< "connections"; empty where the type says it
  std::string default_value;  ///< as YAML
  /// One line; of accepted keys: why they have no effect; of refused ones: what to do instead.
  std::string meaning;
  bool open = false;     ///< accepted with anything below it
  bool live = false;     ///< a reload changes it; the others need a restart
  ConfigValuePtr value;  ///< of bound keys
  Provenance from;
};

/// The YAML file that is being applied.
struct ConfigSource {
  std::string path;
  bool secrets = false;
};

/// A key of the contract that stood in a file and has no effect.
struct UnusedKey {
  std::string path;
  std::string where;
};

/// Something wrong in a file, with its place.
struct ConfigProblem {
  Error error;
  bool unknown_key = false;  ///< may be softened to a warning
};

/// The YAML keys of one component, bound to the places of its configuration, which must outlive the table.
/// Files are applied one after the other into the same places: blocks merge key by key, scalars and lists are
/// replaced, null resets (contract config-ops §1.3).
class ConfigTable {
 public:
  template <class T>
  void key(std::string path, T& target, std::string meaning, std::string unit = {}) {
    bind(std::move(path), make_value(target), std::move(meaning), std::move(unit));
  }
  void size_key(std::string path, uint64_t& target, std::string meaning) {
    bind(std::move(path), make_size_value(target), std::move(meaning));
  }
  template <class T>
  void choice_key(std::string path, T& target, std::vector<std::pair<std::string, T>> words,
                  std::string meaning) {
    bind(std::move(path), make_choice(target, std::move(words)), std::move(meaning));
  }
  void bind(std::string path, ConfigValuePtr value, std::string meaning, std::string unit = {});
  /// Keys below `block` (empty: top level) that are accepted without effect. Those bound already stay bound.
  void accept(std::string_view block, std::initializer_list<std::string_view> names, std::string why);
  /// Accepts `path` with anything below it.
  void accept_open(std::string path, std::string why);
  void refuse(std::string path, std::string advice);
  /// Bound keys, or blocks of them, that a reload changes. They stand in the table already.
  void reloadable(std::initializer_list<std::string_view> paths);

  /// Applies one document, or the part of it that belongs to this component. What is wrong is in problems();
  /// the rest is applied.
  void apply(const YAML::Node& root, const ConfigSource& source);
  /// Notes that a flag has set the place behind `path`.
  void set_by_flag(std::string_view path, std::string flag);
  /// What to say of a default that is only decided at start.
  void explain_default(std::string_view path, std::string text);
  /// True when a file said something other than null at `path` or below.
  bool mentions(std::string_view path) const;
  /// How many keys and blocks of the table the files spoke of.
  size_t known() const { return mentioned_.size(); }
  /// A file or a flag said it.
  bool given(std::string_view path) const;
  /// "agent.yaml:12" or "--tracker"; "default".
  std::string where(std::string_view path) const;

  const std::vector<ConfigKey>& keys() const { return keys_; }
  const std::vector<UnusedKey>& unused() const { return unused_; }
  /// In order of discovery.
  const std::vector<ConfigProblem>& problems() const { return problems_; }
  /// The bound keys as YAML that apply() takes, each with a comment on its origin; what came from a secrets
  /// file is masked.
  std::string print(int indent) const;

 private:
  ConfigKey* find(std::string_view path);
  const ConfigKey* find(std::string_view path) const;
  bool is_block(std::string_view path) const;
  void apply_block(const YAML::Node& node, const std::string& path, const ConfigSource& source);
  /// Of a block that takes anything: the keys that are bound. True when there was something else in it.
  bool apply_known(const YAML::Node& node, const std::string& path, const ConfigSource& source);
  Result<void> apply_key(ConfigKey& key, const YAML::Node& node, const ConfigSource& source);
  Error unknown_key(const std::string& path, const YAML::Node& key, const YAML::Node& value,
                    const ConfigSource& source) const;
  void reset_below(std::string_view block);

  std::vector<ConfigKey> keys_;
  std::vector<UnusedKey> unused_;
  std::vector<ConfigProblem> problems_;
  std::set<std::string, std::less<>> mentioned_;
};

/// The pairs of a mapping with "<<" merged in: own keys win over merged ones.
std::vector<std::pair<YAML::Node, YAML::Node>> mapping_pairs(const YAML::Node& mapping);

}  // namespace krakend::daemon
