#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "sim/workload.h"

namespace krakend::sim {

/// An image that clients push: a repository with one tag.
struct Image {
  std::string repo;
  std::vector<const SimBlob*> layers;
  unsigned side = 0;     ///< the cluster it is pushed to
  bool travels = false;  ///< it is replicated to the other one
};

/// What was acknowledged to clients, and so has to be there at the end.
class Ledger {
 public:
  /// Stands for a tag that is not there.
  static constexpr const char* gone = "";

  void pushed(const SimBlob* blob) { blobs_.insert(blob); }
  bool has(const SimBlob* blob) const { return blobs_.contains(blob); }

  /// The tag of a repository is about to lead to that manifest, or to be gone.
  void attempt(const std::string& repo, const std::string& manifest) {
    tags_[repo].possible.insert(manifest);
  }
  /// It was acknowledged: nothing older may come back.
  void acknowledge(const std::string& repo, const std::string& manifest) {
    tags_[repo] = {true, manifest, {manifest}};
  }
  /// The removal of what was acknowledged last was acknowledged.
  void remove(const std::string& repo) {
    Tag& tag = tags_[repo];
    tag.possible.erase(tag.last);
    tag.possible.insert(gone);
    tag.last = gone;
  }
  const std::string& last(const std::string& repo) { return tags_[repo].last; }
  /// Some manifest was acknowledged, and no removal has been tried since.
  bool tagged(const std::string& repo) const {
    const auto found = tags_.find(repo);
    return found != tags_.end() && found->second.acknowledged && !found->second.possible.contains(gone);
  }
  bool promised(const std::string& repo) const {
    const auto found = tags_.find(repo);
    return found != tags_.end() && found->second.acknowledged;
  }
  /// No tag can lead to what is in there.
  bool unused(const std::string& repo) const {
    const auto found = tags_.find(repo);
    return found == tags_.end() || found->second.possible == std::set<std::string>{gone};
  }
  /// Whether the tag may lead there: to what was acknowledged last, or to what was put since without an
  /// answer.
  bool allows(const std::string& repo, const std::string& manifest) const {
    const auto found = tags_.find(repo);
    return found == tags_.end() || found->second.possible.contains(manifest);
  }

 private:
  struct Tag {
    bool acknowledged = false;
    std::string last;
    std::set<std::string> possible;
  };
  std::set<const SimBlob*> blobs_;
  std::map<std::string, Tag> tags_;
};

}  // namespace krakend::sim
