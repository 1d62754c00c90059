#include "daemon/config_file.h"

#include <fmt/format.h>

#include <algorithm>

namespace krakend::daemon {
namespace {

/// Lexical: without "." and "..", and without doubled slashes.
std::string clean_path(const std::string& path) {
  const bool absolute = path.starts_with('/');
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == ".." && !parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (part != ".." || !absolute) {
      parts.push_back(part);
    }
  }
  std::string clean = absolute ? "/" : "";
  for (size_t i = 0; i < parts.size(); ++i) clean += (i == 0 ? "" : "/") + parts[i];
  return clean.empty() ? "." : clean;
}

Result<ConfigDocument> load_document(io::Disk& disk, const std::string& path) {
  Result<std::string> text = io::read_file(disk, path, max_config_file);
  if (!text && text.error().code == Errc::not_found) {
    return fail(Errc::invalid_argument,
                "{}: no such configuration file; check --config, --secrets and extends", path);
  }
  if (!text)
    return fail(text.error().code, "configuration: {}; check --config and extends", text.error().message);
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(*text);
    if (documents.size() > 1) {
      return fail(Errc::invalid_argument, "{}: holds {} YAML documents; keep one", path, documents.size());
    }
    return ConfigDocument{path, documents.empty() ? YAML::Node() : documents.front()};
  } catch (const YAML::Exception& error) {
    return fail(Errc::invalid_argument, "{}:{}: not valid YAML: {}", path, error.mark.line + 1, error.msg);
  }
}

/// The parent named by `extends`; empty when there is none.
Result<std::string> parent_of(const ConfigDocument& document) {
  if (!document.root.IsMap()) return std::string();
  const YAML::Node extends = document.root["extends"];
  if (!extends || extends.IsNull()) return std::string();
  if (!extends.IsScalar()) {
    return fail(Errc::invalid_argument, "{}:{}: extends must name one file", document.path,
                extends.Mark().line + 1);
  }
  return extends.Scalar().empty() ? std::string() : resolve_beside(document.path, extends.Scalar());
}

}  // namespace

std::string resolve_beside(const std::string& from, const std::string& name) {
  return clean_path(name.starts_with('/') ? name : io::parent_path(from) + "/" + name);
}

Result<std::vector<ConfigDocument>> load_config_chain(io::Disk& disk, const std::string& path) {
  std::vector<ConfigDocument> chain;
  std::string next = clean_path(path);
  while (!next.empty()) {
    const auto seen = [&](const ConfigDocument& document) { return document.path == next; };
    if (std::any_of(chain.begin(), chain.end(), seen)) {
      return fail(Errc::invalid_argument, "{}: cyclic reference in configuration extends detected", next);
    }
    if (chain.size() == max_config_chain) {
      return fail(Errc::too_large, "{}: more than {} files in a chain of extends", next, max_config_chain);
    }
    Result<ConfigDocument> document = load_document(disk, next);
    if (!document) return propagate(document);
    chain.push_back(std::move(*document));
    Result<std::string> parent = parent_of(chain.back());
    if (!parent) return propagate(parent);
    next = *parent;
  }
  // Copies, not std::reverse: assigning to a YAML::Node changes the node it refers to.
  return std::vector<ConfigDocument>(chain.rbegin(), chain.rend());
}

}  // namespace krakend::daemon
