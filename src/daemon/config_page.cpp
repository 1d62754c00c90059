#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "daemon/config_reference.h"

namespace krakend::daemon {
namespace {

constexpr const char* data_dir = "<data-dir>";

/// A row of the page, and the roles that have it.
struct Row {
  const ConfigKey* key = nullptr;
  std::vector<std::string> roles;
};

bool same(const ConfigKey& a, const ConfigKey& b) {
  return a.path == b.path && a.use == b.use && a.type == b.type && a.unit == b.unit &&
         a.default_value == b.default_value && a.meaning == b.meaning && a.live == b.live;
}

/// Keys in alphabetical order; what is the same for several roles is one row.
std::vector<Row> collect_rows(const std::vector<Component*>& components) {
  std::vector<Row> rows;
  for (const Component* component : components) {
    for (const ConfigKey& key : component->table.keys()) {
      auto row =
          std::find_if(rows.begin(), rows.end(), [&](const Row& known) { return same(*known.key, key); });
      if (row == rows.end()) row = rows.insert(rows.end(), {&key, {}});
      row->roles.emplace_back(to_string(component->role));
    }
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.key->path < b.key->path; });
  return rows;
}

std::string roles_text(const Row& row, size_t all) {
  if (row.roles.size() == all) return "all";
  std::string text;
  for (const std::string& role : row.roles) text += (text.empty() ? "" : ", ") + role;
  return text;
}

/// A vertical bar would end the cell.
std::string cell(std::string text) {
  for (size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2))
    text.insert(at, "\\");
  return text;
}

std::string bound_table(const std::vector<Row>& rows, size_t all) {
  std::string out = "| key | roles | type | default | reload | meaning |\n|---|---|---|---|---|---|\n";
  for (const Row& row : rows) {
    const ConfigKey& key = *row.key;
    if (key.use != KeyUse::bound) continue;
    const std::string type = key.unit.empty() ? key.type : fmt::format("{}, {}", key.type, key.unit);
    out += fmt::format("| `{}` | {} | {} | `{}` | {} | {} |\n", key.path, roles_text(row, all), cell(type),
                       cell(key.default_value), key.live ? "yes" : "", cell(key.meaning));
  }
  return out;
}

std::string plain_table(const std::vector<Row>& rows, size_t all, KeyUse use, std::string_view title) {
  std::string out = fmt::format("| key | roles | {} |\n|---|---|---|\n", title);
  for (const Row& row : rows) {
    if (row.key->use != use) continue;
    const std::string name = row.key->open ? row.key->path + "` and below" : row.key->path + "`";
    out += fmt::format("| `{} | {} | {} |\n", name, roles_text(row, all), cell(row.key->meaning));
  }
  return out;
}

constexpr const char* introduction = R"(# Configuration

Made by `krakend config docs` from the tables that read the files; a test keeps both the same.

`--config FILE` is a YAML file as uber/kraken's services have it; `--secrets FILE` is applied after it and is never printed.
`extends: FILE` names a parent, relative to the file that says so. Blocks merge key by key, lists and scalars are replaced,
`null` brings the default back, and so does 0 or an empty text where the default is another. With one role the keys below stand
at the top of the file; with several there is one block per role (`origin:`, `build-index:`, `tracker:`, `proxy:`, `agent:`).

Durations are written as in Go (`90s`, `1h30m`; a bare number is nanoseconds), sizes as `4MB`, `512k` (powers of 1024).
A key that nobody knows is an error that names file, line and the nearest known key; `unknown_keys: warn` makes it a warning.

    krakend config check FILE...       # all that is wrong with the files; exit status 1 if anything is
    krakend config schema --role=R     # a JSON schema, for editors
    krakend --role=R --config=FILE --print-config   # what holds in the end, and where each value comes from

Where several roles share one process, they share one log, one store and one set of limits: the most talkative log level holds,
the store's directories may not differ, and of times and limits the largest holds.

)";

}  // namespace

std::string config_page() {
  Options options;
  options.roles = {Role::origin, Role::build_index, Role::tracker, Role::proxy, Role::agent};
  options.data_dir = data_dir;
  const Config config = default_config(options);
  const std::vector<Component*> components = config.components();
  const std::vector<Row> rows = collect_rows(components);
  return introduction +
         fmt::format(
             "## Keys\n\n"
             "\"reload\": SIGHUP or `POST /x/reload` changes it in the running process; the others need a "
             "restart. `{}` is what `--data-dir` says.\n\n{}\n"
             "## Accepted without effect\n\nKeys of the reference's files; they are named once in the "
             "log.\n\n"
             "{}\n"
             "## Refused\n\nWhat cannot be honoured and must not be ignored.\n\n{}",
             data_dir, bound_table(rows, components.size()),
             plain_table(rows, components.size(), KeyUse::accepted, "why it has no effect"),
             plain_table(rows, components.size(), KeyUse::refused, "what to do instead"));
}

}  // namespace krakend::daemon
