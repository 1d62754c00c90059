#include "daemon/config_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "daemon/suggest.h"

namespace krakend::daemon {
namespace {

std::string join(std::string_view block, std::string_view name) {
  return block.empty() ? std::string(name) : fmt::format("{}.{}", block, name);
}

bool below(std::string_view path, std::string_view block) {
  return block.empty() ||
         (path.size() > block.size() && path.starts_with(block) && path[block.size()] == '.');
}

std::string place(const ConfigSource& source, const YAML::Node& node) {
  return fmt::format("{}:{}", source.path, node.Mark().line + 1);
}

/// Path of the first leaf below a node: what an unknown block was meant to hold.
std::string first_leaf(std::string path, const YAML::Node& node) {
  constexpr int deepest = 8;
  YAML::Node at = node;
  for (int depth = 0; depth < deepest && at.IsMap() && at.size() > 0; ++depth) {
    const auto first = *at.begin();
    if (!first.first.IsScalar()) break;
    path = join(path, first.first.Scalar());
    at.reset(first.second);
  }
  return path;
}

/// False, 0, "", empty list or mapping: a refused feature that is switched off anyway.
bool says_nothing(const YAML::Node& node) {
  if (!node.IsScalar()) return node.size() == 0;
  const Result<bool> boolean = read_boolean(node);
  return node.Scalar().empty() || node.Scalar() == "0" || (boolean && !*boolean);
}

/// Errors from inside a value name their own line.
Error place_error(Error error, const ConfigSource& source, const YAML::Node& node, std::string_view path) {
  constexpr std::string_view mark = "line ";
  const std::string_view message = error.message;
  const size_t colon = message.find(": ");
  if (message.starts_with(mark) && colon != std::string_view::npos) {
    const std::string_view line = message.substr(mark.size(), colon - mark.size());
    return {error.code, fmt::format("{}:{}: {}: {}", source.path, line, path, message.substr(colon + 2))};
  }
  return {error.code, fmt::format("{}: {}: {}", place(source, node), path, error.message)};
}

}  // namespace

std::vector<std::pair<YAML::Node, YAML::Node>> mapping_pairs(const YAML::Node& mapping) {
  std::vector<std::pair<YAML::Node, YAML::Node>> pairs;
  std::set<std::string> own;
  for (const auto& item : mapping) {
    if (item.first.IsScalar()) own.insert(item.first.Scalar());
  }
  const auto merge = [&](const YAML::Node& from) {
    for (const auto& item : from) {
      const bool overridden = item.first.IsScalar() && !own.insert(item.first.Scalar()).second;
      if (!overridden) pairs.emplace_back(item.first, item.second);
    }
  };
  for (const auto& item : mapping) {
    if (!item.first.IsScalar() || item.first.Scalar() != "<<") {
      pairs.emplace_back(item.first, item.second);
    } else if (item.second.IsSequence()) {
      for (const YAML::Node& one : item.second) merge(one);
    } else {
      merge(item.second);
    }
  }
  return pairs;
}

void ConfigTable::bind(std::string path, ConfigValuePtr value, std::string meaning, std::string unit) {
  ConfigKey key;
  key.path = std::move(path);
  key.type = value->type();
  key.unit = std::move(unit);
  key.default_value = value->text();
  key.meaning = std::move(meaning);
  key.value = std::move(value);
  keys_.push_back(std::move(key));
}

void ConfigTable::accept(std::string_view block, std::initializer_list<std::string_view> names,
                         std::string why) {
  for (const std::string_view name : names) {
    std::string path = join(block, name);
    if (find(path) != nullptr) continue;
    ConfigKey key;
    key.path = std::move(path);
    key.use = KeyUse::accepted;
    key.meaning = why;
    keys_.push_back(std::move(key));
  }
}

void ConfigTable::accept_open(std::string path, std::string why) {
  ConfigKey key;
  key.path = std::move(path);
  key.use = KeyUse::accepted;
  key.meaning = std::move(why);
  key.open = true;
  keys_.push_back(std::move(key));
}

void ConfigTable::refuse(std::string path, std::string advice) {
  ConfigKey key;
  key.path = std::move(path);
  key.use = KeyUse::refused;
  key.meaning = std::move(advice);
  keys_.push_back(std::move(key));
}

void ConfigTable::reloadable(std::initializer_list<std::string_view> paths) {
  for (const std::string_view path : paths) {
    for (ConfigKey& key : keys_) {
      if (key.use == KeyUse::bound && (key.path == path || below(key.path, path))) key.live = true;
    }
  }
}

ConfigKey* ConfigTable::find(std::string_view path) {
  return const_cast<ConfigKey*>(std::as_const(*this).find(path));
}

const ConfigKey* ConfigTable::find(std::string_view path) const {
  const auto it =
      std::find_if(keys_.begin(), keys_.end(), [&](const ConfigKey& key) { return key.path == path; });
  return it == keys_.end() ? nullptr : &*it;
}

bool ConfigTable::is_block(std::string_view path) const {
  return std::any_of(keys_.begin(), keys_.end(), [&](const ConfigKey& key) { return below(key.path, path); });
}

void ConfigTable::reset_below(std::string_view block) {
  for (ConfigKey& key : keys_) {
    if (key.path != block && !below(key.path, block)) continue;
    if (key.value) key.value->reset();
    key.from = {};
  }
  std::erase_if(mentioned_, [&](const std::string& path) { return path == block || below(path, block); });
  std::erase_if(unused_, [&](const UnusedKey& key) { return key.path == block || below(key.path, block); });
}

void ConfigTable::apply(const YAML::Node& root, const ConfigSource& source) {
  if (!root.IsNull()) apply_block(root, "", source);
}

void ConfigTable::apply_block(const YAML::Node& node, const std::string& path, const ConfigSource& source) {
  const auto wrong = [&](const YAML::Node& at, std::string_view what) {
    problems_.push_back({{Errc::invalid_argument, fmt::format("{}: {}", place(source, at), what)}});
  };
  if (node.IsNull()) return reset_below(path);
  if (!node.IsMap()) {
    return wrong(node, fmt::format("{} must be a mapping", path.empty() ? "the document" : path));
  }
  if (!path.empty()) mentioned_.insert(path);
  for (const auto& [name, value] : mapping_pairs(node)) {
    if (!name.IsScalar()) {
      wrong(name, "keys must be words");
      continue;
    }
    const std::string child = join(path, name.Scalar());
    if (child == "extends") continue;  // the loader has followed it
    if (ConfigKey* key = find(child)) {
      const bool nothing_else =
          key->open && is_block(child) && value.IsMap() && !apply_known(value, child, source);
      if (nothing_else) continue;
      if (Result<void> done = apply_key(*key, value, source); !done)
        problems_.push_back({std::move(done.error())});
    } else if (is_block(child)) {
      apply_block(value, child, source);
    } else {
      problems_.push_back({unknown_key(child, name, value, source), true});
    }
  }
}

bool ConfigTable::apply_known(const YAML::Node& node, const std::string& path, const ConfigSource& source) {
  bool others = false;
  for (const auto& [name, value] : mapping_pairs(node)) {
    const std::string child = name.IsScalar() ? join(path, name.Scalar()) : std::string();
    if (ConfigKey* key = find(child)) {
      if (Result<void> done = apply_key(*key, value, source); !done)
        problems_.push_back({std::move(done.error())});
    } else if (!child.empty() && is_block(child) && value.IsMap()) {
      others = apply_known(value, child, source) || others;
    } else {
      others = true;
    }
  }
  return others;
}

Result<void> ConfigTable::apply_key(ConfigKey& key, const YAML::Node& node, const ConfigSource& source) {
  if (node.IsNull()) {
    reset_below(key.path);
    return {};
  }
  mentioned_.insert(key.path);
  if (key.use == KeyUse::refused) {
    if (says_nothing(node)) return {};
    return fail(Errc::invalid_argument, "{}: {} is not supported yet; {}", place(source, node), key.path,
                key.meaning);
  }
  if (key.use == KeyUse::accepted) {
    std::erase_if(unused_, [&](const UnusedKey& unused) { return unused.path == key.path; });
    unused_.push_back({key.path, place(source, node)});
    return {};
  }
  if (Result<void> read = key.value->read(node); !read) {
    return fail(place_error(std::move(read.error()), source, node, key.path));
  }
  key.from = {source.secrets ? Provenance::Kind::secrets : Provenance::Kind::file, place(source, node)};
  return {};
}

Error ConfigTable::unknown_key(const std::string& path, const YAML::Node& key, const YAML::Node& value,
                               const ConfigSource& source) const {
  std::vector<std::string> known;
  for (const ConfigKey& row : keys_) {
    known.push_back(row.path);
    for (size_t dot = row.path.find('.'); dot != std::string::npos; dot = row.path.find('.', dot + 1)) {
      known.push_back(row.path.substr(0, dot));
    }
  }
  std::string meant = nearest(path, known);
  if (value.IsMap()) {
    if (std::string leaf = nearest(first_leaf(path, value), known); !leaf.empty()) meant = leaf;
  }
  return {Errc::invalid_argument, fmt::format("{}: unknown key \"{}\"{}", place(source, key), path,
                                              meant.empty() ? std::string("; remove it")
                                                            : fmt::format("; did you mean \"{}\"?", meant))};
}

void ConfigTable::set_by_flag(std::string_view path, std::string flag) {
  if (ConfigKey* key = find(path)) key->from = {Provenance::Kind::flag, std::move(flag)};
}

void ConfigTable::explain_default(std::string_view path, std::string text) {
  if (ConfigKey* key = find(path)) key->from = {Provenance::Kind::by_default, std::move(text)};
}

bool ConfigTable::mentions(std::string_view path) const {
  return std::any_of(mentioned_.begin(), mentioned_.end(),
                     [&](const std::string& said) { return said == path || below(said, path); });
}

bool ConfigTable::given(std::string_view path) const {
  const ConfigKey* key = find(path);
  return key != nullptr && key->from.kind != Provenance::Kind::by_default;
}

std::string ConfigTable::where(std::string_view path) const {
  const ConfigKey* key = find(path);
  return key == nullptr || key->from.where.empty() ? "default" : key->from.where;
}

namespace {

void print_block(const std::vector<const ConfigKey*>& rows, size_t prefix, int indent, std::string& out) {
  constexpr size_t comment_column = 56;
  std::set<std::string> seen;
  for (const ConfigKey* row : rows) {
    const size_t dot = row->path.find('.', prefix);
    const std::string name = row->path.substr(prefix, dot == std::string::npos ? dot : dot - prefix);
    if (!seen.insert(name).second) continue;
    std::string line(static_cast<size_t>(indent), ' ');
    line += name + ":";
    if (dot != std::string::npos) {
      out += line + "\n";
      std::vector<const ConfigKey*> inner;
      const std::string block = row->path.substr(0, dot);
      std::copy_if(rows.begin(), rows.end(), std::back_inserter(inner),
                   [&](const ConfigKey* other) { return below(other->path, block); });
      print_block(inner, dot + 1, indent + 2, out);
      continue;
    }
    const bool secret = row->from.kind == Provenance::Kind::secrets;
    line += " " + (secret ? std::string("\"********\"") : row->value->text());
    if (line.size() < comment_column) line.resize(comment_column, ' ');
    out += fmt::format("{}  # {}\n", line, row->from.where.empty() ? "default" : row->from.where);
  }
}

}  // namespace

std::string ConfigTable::print(int indent) const {
  std::vector<const ConfigKey*> bound;
  for (const ConfigKey& key : keys_) {
    if (key.use == KeyUse::bound) bound.push_back(&key);
  }
  std::string out;
  print_block(bound, 0, indent, out);
  return out;
}

}  // namespace krakend::daemon
