#include "sandbox/learn/learned_policy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "sandbox/learn/rule_text.h"
#include "sandbox/syscall_groups.h"

namespace brood {
namespace {

// So many files of one directory of the system's are shown with the directory.
constexpr size_t kMany = 12;

bool IsBelow(std::string_view path, std::string_view directory) {
  return directory == "/" || (absl::StartsWith(path, directory) && path.size() > directory.size() && path[directory.size()] == '/');
}

std::string ParentOf(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }

// Of these every sandbox has its own.
bool IsOwnInside(const std::string& path) {
  for (const char* place : {"/proc", "/dev"}) {
    if (path == place || IsBelow(path, place)) return true;
  }
  return path == "/";
}

bool IsDirectory(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

bool Exists(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0;
}

bool IsSystems(const std::string& path) {
  return absl::c_any_of(std::vector<std::string_view>{"/usr", "/lib", "/lib64", "/etc", "/opt"},
                        [&](std::string_view place) { return IsBelow(path, place); });
}

bool IsOneOf(std::string_view syscall, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), syscall) != names.end();
}

// The flags with which a file was opened, -1 if the call opens none.
int OpenFlags(const TracedCall& call) {
  if (call.syscall == "open") return static_cast<int>(call.args[1]);
  if (call.syscall == "openat") return static_cast<int>(call.args[2]);
  if (call.syscall == "creat") return O_CREAT | O_WRONLY | O_TRUNC;
  return -1;
}

std::string FileRuleText(const std::string& path, bool writable) {
  return absl::StrCat("{\"path\": ", QuotedJson(path), writable ? ", \"access\": \"rw\"}" : "}");
}

std::string TmpfsRuleText(const std::string& path) { return absl::StrCat("{\"tmpfs\": ", QuotedJson(path), "}"); }

bool IsIn(std::string_view group, std::string_view syscall) { return absl::c_linear_search(SyscallGroupMembers(group), syscall); }

std::string AddressText(const std::string& bytes) {
  sockaddr_storage address = {};
  memcpy(&address, bytes.data(), std::min(bytes.size(), sizeof(address)));
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& four = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &four.sin_addr, text, sizeof(text));
    return absl::StrCat(text, ":", ntohs(four.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof(text));
    return absl::StrCat("[", text, "]:", ntohs(six.sin6_port));
  }
  if (address.ss_family == AF_UNIX && bytes.size() > offsetof(sockaddr_un, sun_path)) {
    std::string name = bytes.substr(offsetof(sockaddr_un, sun_path));
    if (name[0] == '\0') return absl::StrCat("unix:@", name.substr(1));
    return absl::StrCat("unix:", name.substr(0, name.find('\0')));
  }
  return "";
}

// Evidence may hold names that a program chose; a line feed would end the comment.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = '?';
  }
  return text;
}

}  // namespace

void LearnedPolicy::Evidence::Saw(std::string_view what, std::string_view program) {
  if (first.empty()) first = absl::StrCat(what, what.empty() ? "" : " ", "by ", program);
  ++count;
}

std::string LearnedPolicy::Evidence::Text() const {
  return OneLine(absl::StrCat(first, count == 0 ? "" : count == 1 ? ", once" : absl::StrCat(", ", count, " times")));
}

void LearnedPolicy::Add(const TracedCall& call) {
  // What the run got ENOSYS for, and the policy answers so too.
  const bool answered = IsIn("@io-uring", call.syscall) || IsIn("@newer", call.syscall) || IsOneOf(call.syscall, {"clone3", "openat2"});
  if (call.syscall == "unknown" || answered) return;
  if (IsIn("@kernel-surface", call.syscall)) {
    left_out_[absl::StrCat("system call ", call.syscall)].Saw("", call.program);
    return;
  }
  syscalls_[AllowRuleText(call.syscall, call.args)].Saw("", call.program);
  if (!call.address.empty()) UseNetwork(call);
  if (call.syscall == "listen" && call.result == 0) has_server_ = true;
  if (call.result < 0) return;
  if (!call.path.empty()) UseFile(call, call.path);
  if (!call.other_path.empty()) UseFile(call, call.other_path);
}

void LearnedPolicy::UseFile(const TracedCall& call, const std::string& path) {
  if (IsOwnInside(path)) return;
  const int flags = OpenFlags(call);
  const bool opens = flags >= 0;
  const bool makes = (opens && (flags & O_CREAT) != 0 && !call.path_was_there) ||
                     IsOneOf(call.syscall, {"mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2",
                                            "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat"});
  if (makes) {
    made_.insert(path);
    FileUse& parent = files_[ParentOf(path)];
    parent.makes_entries = true;
    parent.evidence.Saw(absl::StrCat(call.syscall, " of ", std::filesystem::path(path).filename().string()), call.program);
    return;
  }
  FileUse& use = files_[path];
  use.evidence.Saw(call.syscall, call.program);
  if ((opens && (flags & O_ACCMODE) != O_RDONLY) ||
      IsOneOf(call.syscall, {"truncate", "chmod", "fchmodat", "chown", "lchown", "fchownat", "utime", "utimes", "utimensat"})) {
    use.write = true;
  } else if (opens && IsDirectory(path)) {
    use.lists = true;
  } else {
    use.read = true;
  }
}

void LearnedPolicy::UseNetwork(const TracedCall& call) {
  const std::string text = AddressText(call.address);
  if (text.empty() || (call.result < 0 && call.result != -EINPROGRESS)) return;
  if (call.syscall == "connect") {
    destinations_[text].Saw("connect", call.program);
  } else if (call.syscall == "sendto") {
    left_out_[absl::StrCat("datagrams to ", text)].Saw("sendto", call.program);
  }
}

void LearnedPolicy::Merge(const Policy& policy, std::string_view text) {
  // One rule a line, as Text writes them.
  for (const std::string_view line : absl::StrSplit(text, '\n')) {
    const size_t comment = line.find("  // ");
    if (!absl::StartsWith(line, "    {") || comment == std::string_view::npos) continue;
    earlier_.emplace(absl::StripSuffix(line.substr(4, comment - 4), ","), line.substr(comment + 5));
  }
  for (const FileRule& rule : policy.files) {
    if (rule.kind == FileRule::Kind::kTmpfs) {
      tmpfs_.emplace(rule.destination, TmpfsRuleText(rule.destination));
      continue;
    }
    FileUse& use = files_[rule.destination];
    use.read = true;
    use.write = use.write || rule.access == FileRule::Access::kReadWrite;
    use.lists = use.lists || IsDirectory(rule.destination);
    use.makes_entries = use.makes_entries || (use.write && IsDirectory(rule.destination));
  }
  for (const std::string& to : policy.network.to) destinations_[to];
  if (policy.network.mode == NetworkMode::kLoopback) has_server_ = true;
  for (const SyscallRule& rule : policy.syscalls) {
    if (rule.action != SyscallAction::kAllow || rule.names.size() != 1 || rule.names[0][0] == '@') continue;
    std::array<uint64_t, 6> args = {};
    for (const ArgumentRule& argument : rule.args) args[argument.index] = argument.value;
    syscalls_[AllowRuleText(rule.names[0], args)];
  }
}

std::vector<LearnedPolicy::Line> LearnedPolicy::FileLines() const {
  struct Rule {
    bool directory = false;
    bool writable = false;
    bool memory = false;
    std::string evidence;
  };
  std::map<std::string, Rule> rules;
  std::map<std::string, std::vector<std::string>> siblings;
  for (const auto& [path, use] : files_) {
    if (IsOwnInside(path)) continue;
    const bool directory = IsDirectory(path);
    if (use.makes_entries) {
      const bool temporary = absl::c_any_of(std::vector<std::string_view>{"/tmp", "/var/tmp"}, [&](auto place) { return path == place; }) &&
                             absl::c_none_of(made_, [&](const std::string& made) { return ParentOf(made) == path && Exists(made); });
      if (directory) rules[path] = {true, !temporary, temporary, use.evidence.Text()};
    } else if (directory) {
      // What was only looked at is there if something in it is.
      if (use.lists) rules[path] = {true, false, false, use.evidence.Text()};
    } else if (Exists(path)) {
      rules[path] = {false, use.write, false, use.evidence.Text()};
      if (!use.write && IsSystems(path)) siblings[ParentOf(path)].push_back(path);
    }
  }
  for (const auto& [directory, paths] : siblings) {
    if (paths.size() < kMany || rules.count(directory) != 0) continue;
    rules[directory] = {true, false, false, absl::StrCat(paths.size(), " files of it, ", rules[paths[0]].evidence)};
  }
  std::vector<Line> lines;
  for (const auto& [path, rule] : rules) {
    const bool shown = absl::c_any_of(rules, [&, &path = path, &rule = rule](const auto& other) {
      return other.second.directory && !other.second.memory && IsBelow(path, other.first) && (other.second.writable || !rule.writable);
    });
    if (shown) continue;
    lines.push_back({rule.memory ? TmpfsRuleText(path) : FileRuleText(path, rule.writable), rule.evidence});
  }
  for (const auto& [path, rule] : tmpfs_) {
    if (rules.count(path) == 0) lines.push_back({rule, ""});
  }
  return lines;
}

std::vector<LearnedPolicy::Line> LearnedPolicy::SyscallLines() const {
  std::vector<Line> lines;
  std::set<std::string> rules;
  for (const auto& [rule, evidence] : syscalls_) {
    lines.push_back({rule, evidence.Text()});
    rules.insert(rule);
  }
  for (const char* always : {"execve", "execveat", "exit_group", "exit", "rt_sigreturn", "restart_syscall"}) {
    const std::string rule = AllowRuleText(always, {});
    if (rules.insert(rule).second) lines.push_back({rule, "always: to start, to end, and to go on after a signal"});
  }
  lines.push_back({R"({"names": ["@io-uring", "@newer", "clone3", "openat2"], "action": "errno", "errno": "ENOSYS"})",
                   "always: as when this was learnt"});
  return lines;
}

std::string LearnedPolicy::NetworkLine() const {
  if (destinations_.empty() && !has_server_) return R"(  "network": {"mode": "none"},  // no connection was made)";
  if (has_server_) return R"(  "network": {"mode": "loopback"},  // it listens)";
  std::vector<std::string> names;
  std::vector<std::string> evidence;
  for (const auto& [to, seen] : destinations_) {
    names.push_back(QuotedJson(to));
    evidence.push_back(absl::StrCat(to, " ", seen.Text()));
  }
  return absl::StrCat("  \"network\": {\"mode\": \"allow\", \"to\": [", absl::StrJoin(names, ", "), "]},  // ",
                      OneLine(absl::StrJoin(evidence, "; ")));
}

std::string LearnedPolicy::Text(std::string_view command) const {
  std::string text = absl::StrCat("// Learnt by brood policy learn, the last time from: ", OneLine(std::string(command)), "\n");
  for (const std::string& line : LeftOut()) absl::StrAppend(&text, "// Not allowed here, though it was used: ", line, "\n");
  const auto append = [&](std::string_view field, const std::vector<Line>& lines) {
    absl::StrAppend(&text, "  \"", field, "\": [\n");
    for (size_t i = 0; i < lines.size(); ++i) {
      const auto earlier = earlier_.find(lines[i].rule);
      const std::string& evidence = earlier != earlier_.end() ? earlier->second : lines[i].evidence;
      absl::StrAppend(&text, "    ", lines[i].rule, i + 1 < lines.size() ? "," : "", "  // ", evidence, "\n");
    }
    absl::StrAppend(&text, "  ],\n");
  };
  absl::StrAppend(&text,
                  "{\n  \"extends\": null,\n"
                  "  \"namespaces\": [\"user\", \"pid\", \"mount\", \"net\", \"ipc\", \"uts\", \"cgroup\"],\n"
                  "  \"drop_privileges\": true,\n  \"minimal_system\": true,\n");
  append("files", FileLines());
  absl::StrAppend(&text, NetworkLine(), "\n  \"filter_syscalls\": true,\n");
  append("syscalls", SyscallLines());
  absl::StrAppend(&text, "  \"unlisted\": \"kill\",\n  \"environment\": \"minimal\"\n}\n");
  return text;
}

std::vector<std::string> LearnedPolicy::LeftOut() const {
  std::vector<std::string> lines;
  for (const auto& [what, evidence] : left_out_) lines.push_back(absl::StrCat(what, ", ", evidence.Text()));
  if (has_server_) {
    for (const auto& [to, evidence] : destinations_) {
      const bool own = absl::StartsWith(to, "127.") || absl::StartsWith(to, "[::1]");
      if (!own) lines.push_back(absl::StrCat("a connection to ", to, " of a program that listens as well, ", evidence.Text()));
    }
  }
  return lines;
}

}  // namespace brood
