#include "sandbox/learn/learned_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "sandbox/learn/json_text.h"
#include "sandbox/learn/links.h"
#include "sandbox/learn/paths.h"
#include "sandbox/policy.h"

namespace brood {
namespace {

// A policy has at most 256 mounts, some of which are brood's own.
constexpr size_t kMaxFiles = 200;

bool IsOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string ParentOf(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }

std::string NameOf(const std::string& path) { return std::filesystem::path(path).filename().string(); }

// Of these every sandbox has its own.
bool IsOwnInside(const std::string& path) {
  constexpr std::string_view kOwn[] = {"/",         "/proc",      "/dev",        "/dev/null",  "/dev/zero",
                                       "/dev/full", "/dev/random", "/dev/urandom", "/dev/fd",    "/dev/shm",
                                       "/dev/stdin", "/dev/stdout", "/dev/stderr", "/etc/passwd", "/etc/group"};
  return absl::c_linear_search(kOwn, path) || IsBelow(path, "/proc") || IsBelow(path, "/dev/fd") || IsBelow(path, "/dev/shm");
}

bool IsDirectory(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool Exists(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0;
}

// Where a symbolic link leads; "" if it is none.
std::string LinkText(const std::string& path) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::read_symlink(path, error);
  return error ? "" : target.native();
}

bool LeadsNowhere(const std::string& path) {
  struct stat status;
  return !LinkText(path).empty() && stat(path.c_str(), &status) != 0;
}

// Whether the call told the program what a link itself is, or where it leads.
bool LooksAtLink(const TracedCall& call, const std::string& path) {
  if (IsOneOf(call.syscall, {"readlink", "readlinkat"})) return true;
  const bool itself = call.syscall == "lstat" || (call.syscall == "newfstatat" && (call.args[3] & AT_SYMLINK_NOFOLLOW) != 0) ||
                      (call.syscall == "statx" && (call.args[2] & AT_SYMLINK_NOFOLLOW) != 0);
  // A file in the place of a link to one will do: it is there. A directory's has to be a link to lead to what is behind it.
  return itself && !LinkText(path).empty() && (IsDirectory(path) || LeadsNowhere(path));
}

// The place of the system's below which `path` is, as strict shows it; "" if none.
std::string SystemPlace(const std::string& path) {
  static const auto* places = [] {
    auto* found = new std::vector<std::string>;
    const absl::StatusOr<Policy> strict = BuiltinPolicy("strict");
    if (!strict.ok()) return found;
    for (const FileRule& rule : strict->files) {
      if (rule.kind != FileRule::Kind::kTmpfs) found->push_back(rule.destination);
    }
    return found;
  }();
  for (const std::string& place : *places) {
    if (path == place || IsBelow(path, place)) return place;
  }
  return "";
}

// Of these the C library's name service reads in /etc/nsswitch.conf where to look; nsswitch.conf(5). For users and groups the files
// alone are what it takes without that, which a sandbox has its own of: with it, a user who is not in them is looked for elsewhere.
constexpr std::string_view kNetworkDatabases[] = {"/etc/hosts",    "/etc/resolv.conf", "/etc/host.conf", "/etc/networks",
                                                  "/etc/services", "/etc/protocols",   "/etc/gai.conf"};
constexpr std::string_view kNameService = "/etc/nsswitch.conf";

// The flags with which a file was opened, -1 if the call opens none.
int OpenFlags(const TracedCall& call) {
  if (call.syscall == "open") return static_cast<int>(call.args[1]);
  if (call.syscall == "openat") return static_cast<int>(call.args[2]);
  if (call.syscall == "creat") return O_CREAT | O_WRONLY | O_TRUNC;
  return -1;
}

}  // namespace

void LearnedFiles::Use(const TracedCall& call, const std::string& given) {
  // "/data/" is the directory /data, and shows what is below it.
  const std::string path(given.substr(0, std::max<size_t>(given.find_last_not_of('/') + 1, 1)));
  if (IsOwnInside(path)) return;
  if (IsBelow(path, "/dev")) {
    left_out_[absl::StrCat("device ", path)].Saw(call.syscall, call.program);
    return;
  }
  const int flags = OpenFlags(call);
  const bool opens = flags >= 0;
  // A file without a name is one of the directory's, and leaves nothing there. open(2), O_TMPFILE.
  if (opens && (flags & O_TMPFILE) == O_TMPFILE && SystemPlace(path).empty() && path != "/") {
    FileUse& directory = files_[path];
    directory.makes_entries = true;
    directory.evidence.Saw(call.syscall, call.program);
    return;
  }
  const bool makes = (opens && (flags & O_CREAT) != 0 && !call.path_was_there) || call.syscall == "bind" ||
                     IsOneOf(call.syscall, {"mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2",
                                            "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat"});
  const bool writes = (opens && (flags & O_ACCMODE) != O_RDONLY) ||
                      IsOneOf(call.syscall, {"truncate", "chmod", "fchmodat", "chown", "lchown", "fchownat", "utime", "utimes",
                                             "utimensat", "futimesat", "setxattr", "lsetxattr", "removexattr", "lremovexattr"});
  if ((makes || writes) && (!SystemPlace(path).empty() || ParentOf(path) == "/")) {
    left_out_[absl::StrCat("writing ", path)].Saw(call.syscall, call.program);
    return;
  }
  const bool reads_link = LooksAtLink(call, path);
  if (!IsJsonText(makes ? ParentOf(path) : path) || (reads_link && !IsJsonText(LinkText(path)))) {
    return UseDirectoryOf(call, path, makes || writes);
  }
  if (makes) return Make(call, path);
  FileUse& use = files_[path];
  use.evidence.Saw(call.syscall, call.program);
  if (writes) use.write = true;
  if (reads_link) use.reads_link = true;
  if (opens && !writes && IsDirectory(path)) use.lists = true;
}

void LearnedFiles::Make(const TracedCall& call, const std::string& path) {
  made_.insert(path);
  FileUse& parent = files_[ParentOf(path)];
  parent.makes_entries = true;
  parent.evidence.Saw(absl::StrCat(call.syscall, " of ", NameOf(path)), call.program);
}

// Inside, what is shown apart is two mounts, between which no name is moved, though it be one file system outside. rename(2), EXDEV
void LearnedFiles::UseBoth(const TracedCall& call) {
  if (IsOwnInside(call.path) || IsOwnInside(call.other_path)) return;
  const std::string from = ParentOf(call.path);
  const std::string to = ParentOf(call.other_path);
  if (from == to || !SystemPlace(from).empty() || !SystemPlace(to).empty()) return;
  std::string both = from;
  while (both != to && !IsBelow(to, both)) both = ParentOf(both);
  if (both == "/" || !IsJsonText(both)) {
    left_out_[absl::StrCat("moving ", call.path, " to ", call.other_path, ", which inside is on another mount")].Saw(call.syscall, call.program);
    return;
  }
  FileUse& use = files_[both];
  use.makes_entries = true;
  use.joins.insert({from, to});
  use.evidence.Saw(absl::StrCat(call.syscall, " of ", NameOf(call.path)), call.program);
}

void LearnedFiles::UseCrossed(const TracedCall& call, const std::string& link) {
  if (IsOwnInside(link) || !IsJsonText(link) || !IsJsonText(LinkText(link))) return;
  FileUse& use = files_[link];
  use.reads_link = use.lists = true;  // What it leads to must be there.
  use.evidence.Saw(call.syscall, call.program);
}

void LearnedFiles::UseDirectoryOf(const TracedCall& call, const std::string& path, bool writes) {
  std::string name = path;
  std::string directory = ParentOf(path);
  for (; !IsJsonText(directory); directory = ParentOf(directory)) name = directory;
  if (directory == "/") {
    left_out_[absl::StrCat("file ", path, ", a name that is not UTF-8")].Saw(call.syscall, call.program);
    return;
  }
  FileUse& use = files_[directory];
  use.evidence.Saw(absl::StrCat(call.syscall, " of ", NameOf(name)), call.program);
  (writes ? use.makes_entries : use.lists) = true;
  if (writes) made_.insert(name);
}

std::map<std::string, LearnedFiles::FileUse> LearnedFiles::Reached() const {
  const auto is_shown = [&](std::string_view path) {
    if (const auto used = files_.find(std::string(path)); used != files_.end() && used->second.reads_link && !LinkText(used->first).empty()) return true;
    if (const std::string place = SystemPlace(std::string(path)); !place.empty() && place != path) return true;
    return absl::c_any_of(files_, [&](const auto& file) {
      return (file.second.lists || file.second.makes_entries) && IsBelow(path, file.first);
    });
  };
  std::map<std::string, FileUse> reached = files_;
  for (const auto& [path, use] : files_) {
    for (const std::string& target : LinkTargets(path, is_shown)) {
      if (IsOwnInside(target) || IsBelow(target, "/dev")) continue;
      // What a policy cannot name is in a directory that it can.
      std::string shown = target;
      while (!IsJsonText(shown)) shown = ParentOf(shown);
      if (shown == "/") continue;
      const auto [place, is_new] = reached.insert({shown, use});
      if (shown != target) place->second.lists = true;
      if (is_new) {
        place->second.through = path;
      } else {
        place->second.write |= use.write;
        place->second.makes_entries |= use.makes_entries;
        place->second.lists |= use.lists;
      }
    }
  }
  if (absl::c_none_of(kNetworkDatabases, [&](std::string_view file) { return reached.count(std::string(file)) != 0; })) {
    reached.erase(std::string(kNameService));
  }
  return reached;
}

std::vector<NeededFile> LearnedFiles::Needed() const {
  const std::map<std::string, FileUse> reached = Reached();
  const auto text = [](const FileUse& use) {
    const std::string joins = use.joins.empty() ? "" : OneLine(absl::StrCat(", for moves between ", absl::StrJoin(use.joins, ", ")));
    return absl::StrCat(use.evidence.Text(), joins, use.through.empty() ? "" : absl::StrCat(", through ", OneLine(use.through)));
  };
  std::map<std::string, NeededFile> needed;
  std::set<std::string> directories;  // Of these, those that are shown with all that is in them.
  std::map<std::string, std::pair<size_t, std::string>> places;
  const auto show = [&](const std::string& path, NeededFile file, bool directory) {
    file.path = path;
    needed[path] = std::move(file);
    if (directory) directories.insert(path);
  };
  const auto is_link = [&](const std::string& path) {
    const auto use = reached.find(path);
    return use != reached.end() && (use->second.reads_link || LeadsNowhere(path)) && made_.count(path) == 0 && !LinkText(path).empty();
  };
  // What stands behind one is shown where the link leads.
  const auto is_behind_link = [&](std::string path) {
    for (path = ParentOf(path); path != "/"; path = ParentOf(path)) {
      if (is_link(path)) return true;
    }
    return false;
  };
  for (const auto& [path, use] : reached) {
    if (is_behind_link(path)) continue;
    if (const std::string place = SystemPlace(path); !place.empty() && !(path == place && is_link(path))) {
      auto& [count, evidence] = places[place];
      if (++count == 1) evidence = absl::StrCat(path == place ? "" : absl::StrCat(path, " "), text(use));
      continue;
    }
    const bool directory = IsDirectory(path);
    if (is_link(path)) {
      show(path, {.link = LinkText(path), .evidence = text(use)}, false);
    } else if (directory && use.makes_entries) {
      const bool left = absl::c_any_of(made_, [&](const std::string& made) { return ParentOf(made) == path && Exists(made); }) ||
                        absl::c_any_of(use.joins, [&](const std::string& joined) { return joined != path && made_.count(joined) == 0 && Exists(joined); });
      const bool temporary = !left && (path == "/tmp" || path == "/var/tmp");
      show(path, {.writable = !temporary, .memory = temporary, .evidence = text(use)}, !temporary);
    } else if (directory) {
      // What was only looked at is there if something in it is.
      if (use.lists) show(path, {.evidence = text(use)}, true);
    } else if (Exists(path) && made_.count(path) == 0) {
      show(path, {.writable = use.write, .evidence = text(use)}, false);
    }
  }
  for (const auto& [place, found] : places) {
    if (!Exists(place)) continue;
    const auto& [count, evidence] = found;
    show(place, {.evidence = absl::StrCat(evidence, count > 1 ? absl::StrCat("; ", count - 1, " more of it") : "")}, true);
  }
  // Too many files become the directories that hold most of them.
  while (needed.size() > kMaxFiles) {
    std::map<std::string, size_t> siblings;
    for (const auto& [path, file] : needed) {
      if (!file.writable && directories.count(path) == 0) ++siblings[ParentOf(path)];
    }
    const auto most = absl::c_max_element(siblings, [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most == siblings.end() || most->second < 2 || most->first == "/") break;
    show(most->first, {.evidence = absl::StrCat(most->second, " files of it, more than a policy can list")}, true);
    for (auto it = needed.begin(); it != needed.end();) {
      const bool gone = it->first != most->first && !it->second.writable && IsBelow(it->first, most->first);
      it = gone ? needed.erase(it) : std::next(it);
    }
  }
  std::vector<NeededFile> list;
  for (const auto& [path, file] : needed) {
    const bool shown = absl::c_any_of(directories, [&, &path = path, &file = file](const std::string& directory) {
      const auto other = needed.find(directory);
      return other != needed.end() && IsBelow(path, directory) && (other->second.writable || !file.writable);
    });
    if (!shown) list.push_back(file);
  }
  return list;
}

}  // namespace brood
