#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "sandbox/made_files.h"
#include "sandbox/policy_read.h"
#include "sandbox/policy_words.h"

namespace brood {
namespace internal {
namespace {

// What the fields of a rule say besides its kind.
absl::Status ReadFileFields(const fbs::FileRule& from, FileRule& rule) {
  rule.optional = from.optional();
  rule.no_exec = from.noexec();
  if (from.access() != nullptr) {
    BROOD_ASSIGN_OR_RETURN(rule.access, ReadWord(kAccessWords, View(from.access()), "files: access"));
  }
  if (from.size() != nullptr) {
    BROOD_ASSIGN_OR_RETURN(rule.size_bytes, ParseSize(View(from.size())));
    if (rule.size_bytes == 0) return Invalid("files", "\"size\" 0: nothing would fit; leave it out for 64M");
  }
  if (from.mode() != nullptr) {
    const absl::StatusOr<uint32_t> mode = ParseMode(View(from.mode()));
    if (!mode.ok()) return Invalid("files", mode.status().message());
    rule.mode = *mode;
  }
  if (from.changes() != nullptr) {
    rule.changes = View(from.changes());
    if (rule.changes.empty() || rule.changes[0] != '/') return Invalid("files: changes", "expected the absolute path of a directory");
  }
  BROOD_ASSIGN_OR_RETURN(rule.layers, ReadStrings(from.below(), "files: below"));
  for (const std::string& layer : rule.layers) {
    if (layer[0] != '/') return Invalid("files: below", absl::StrCat("\"", layer, "\" is not an absolute path"));
  }
  return absl::OkStatus();
}

// Which fields go with which kind of rule.
absl::Status CheckFileFields(const fbs::FileRule& from) {
  const bool overlay = from.overlay() != nullptr;
  const bool made = from.symlink() != nullptr || from.directory() != nullptr || from.content() != nullptr;
  const int kinds = (from.path() != nullptr) + (from.paths() != nullptr) + (from.tmpfs() != nullptr) + overlay + (from.symlink() != nullptr) +
                    (from.directory() != nullptr) + (from.content() != nullptr);
  if (kinds != 1) return Invalid("files", "each entry has exactly one of path, paths, tmpfs, overlay, symlink, directory, content");
  const bool needs_at = from.symlink() != nullptr || from.content() != nullptr;
  if (needs_at && from.at() == nullptr) return Invalid("files", "\"symlink\" and \"content\" need \"at\", the place inside");
  if (from.at() != nullptr && from.path() == nullptr && !overlay && !needs_at) {
    return Invalid("files", "\"at\" goes with \"path\", \"overlay\", \"symlink\" and \"content\" only");
  }
  if (from.size() != nullptr && from.tmpfs() == nullptr && !overlay) return Invalid("files", "\"size\" goes with \"tmpfs\" and \"overlay\" only");
  if (from.changes() != nullptr && !overlay) return Invalid("files", "\"changes\" goes with \"overlay\" only");
  if (from.below() != nullptr && !overlay) return Invalid("files", "\"below\" goes with \"overlay\" only");
  if (from.changes() != nullptr && from.size() != nullptr) {
    return Invalid("files", "\"size\" is that of changes in memory, and \"changes\" keeps them in a directory of the host: give one of both");
  }
  if ((from.tmpfs() != nullptr || made) && (from.optional() || from.access() != nullptr)) {
    return Invalid("files", "\"optional\" and \"access\" do not go with \"tmpfs\", \"symlink\", \"directory\" and \"content\"");
  }
  if (!overlay) return absl::OkStatus();
  if (from.optional()) return Invalid("files", "\"optional\" does not go with \"overlay\"");
  const std::string_view access = View(from.access());
  if (access == "device") return Invalid("files", "\"access\" of an overlay is \"ro\" or \"rw\"");
  if (access == "ro" && (from.size() != nullptr || from.changes() != nullptr)) {
    return Invalid("files", "a read-only overlay has no changes, and neither \"size\" nor \"changes\"");
  }
  if (access == "ro" && from.below() == nullptr) {
    return Invalid("files", "a read-only overlay of one directory is what \"path\" shows; \"below\" lists what is to lie below it");
  }
  return absl::OkStatus();
}

absl::Status ReadFileRule(const fbs::FileRule& from, std::vector<FileRule>& to) {
  BROOD_RETURN_IF_ERROR(CheckFileFields(from));
  FileRule rule;
  BROOD_RETURN_IF_ERROR(ReadFileFields(from, rule));
  rule.destination = View(from.at());
  std::vector<std::string> paths;
  if (from.tmpfs() != nullptr) {
    rule.kind = FileRule::Kind::kTmpfs;
    rule.access = FileRule::Access::kReadWrite;
    rule.destination = View(from.tmpfs());
  } else if (from.overlay() != nullptr) {
    const bool merged = View(from.access()) == "ro";
    rule.kind = merged ? FileRule::Kind::kMerged : FileRule::Kind::kOverlay;
    rule.access = merged ? FileRule::Access::kReadOnly : FileRule::Access::kReadWrite;
    rule.source = View(from.overlay());
    if (from.at() == nullptr) rule.destination = rule.source;
  } else if (from.symlink() != nullptr) {
    rule.kind = FileRule::Kind::kSymlink;
    rule.text = View(from.symlink());
  } else if (from.directory() != nullptr) {
    rule.kind = FileRule::Kind::kDirectory;
    rule.destination = View(from.directory());
  } else if (from.content() != nullptr) {
    rule.kind = FileRule::Kind::kFile;
    rule.text = View(from.content());
  } else if (from.paths() != nullptr) {
    BROOD_ASSIGN_OR_RETURN(paths, ReadStrings(from.paths(), "files: paths"));
  } else {
    paths.emplace_back(View(from.path()));
  }
  if (const absl::Status checked = CheckMade(rule); !checked.ok()) return Invalid("files", checked.message());
  if (rule.kind != FileRule::Kind::kBind) to.push_back(rule);
  for (std::string& path : paths) {
    if (from.at() == nullptr) rule.destination = path;
    rule.source = std::move(path);
    to.push_back(rule);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadStrings(const Strings* strings, std::string_view field) {
  std::vector<std::string> result;
  if (strings == nullptr) return result;
  for (const flatbuffers::String* text : *strings) {
    const std::string_view view = View(text);
    // These end up in system calls that take C strings.
    if (view.empty() || view.find('\0') != std::string_view::npos) {
      return Invalid(field, "an empty string, or one with a zero byte");
    }
    result.emplace_back(view);
  }
  return result;
}

absl::Status ReadFiles(const fbs::Policy& from, std::vector<FileRule>& files) {
  if (from.files() == nullptr) return absl::OkStatus();
  std::vector<FileRule> nearer;
  for (const fbs::FileRule* rule : *from.files()) BROOD_RETURN_IF_ERROR(ReadFileRule(*rule, nearer));
  std::set<std::string_view> seen;
  for (const FileRule& rule : nearer) {
    for (const std::string* path : {&rule.source, &rule.destination}) {
      const bool none = path == &rule.source && !ShowsHost(rule);
      if (none) continue;
      if (path->empty() || path->front() != '/' || path->find('\0') != std::string::npos) {
        return Invalid("files", absl::StrCat("\"", *path, "\" is not an absolute path"));
      }
    }
    if (!seen.insert(rule.destination).second) {
      return Invalid("files", absl::StrCat("two rules for ", rule.destination));
    }
  }
  LayFiles(std::move(nearer), files);
  return absl::OkStatus();
}

}  // namespace internal
}  // namespace brood
