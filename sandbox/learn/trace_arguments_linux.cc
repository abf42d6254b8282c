#include "sandbox/learn/trace_arguments.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/unique_fd.h"

namespace brood {
namespace {

// Which arguments name a file: the directory descriptor (-1: the current directory) and the path.
struct PathArguments {
  std::string_view syscall;
  int directory, path, other_directory, other_path;  // -1: none.
};
constexpr PathArguments kPaths[] = {
    {"open", -1, 0, -1, -1},        {"creat", -1, 0, -1, -1},      {"openat", 0, 1, -1, -1},     {"stat", -1, 0, -1, -1},
    {"lstat", -1, 0, -1, -1},       {"newfstatat", 0, 1, -1, -1},  {"statx", 0, 1, -1, -1},      {"statfs", -1, 0, -1, -1},
    {"access", -1, 0, -1, -1},      {"faccessat", 0, 1, -1, -1},   {"faccessat2", 0, 1, -1, -1}, {"readlink", -1, 0, -1, -1},
    {"readlinkat", 0, 1, -1, -1},   {"chdir", -1, 0, -1, -1},      {"getxattr", -1, 0, -1, -1},  {"lgetxattr", -1, 0, -1, -1},
    {"listxattr", -1, 0, -1, -1},
    {"llistxattr", -1, 0, -1, -1},  {"setxattr", -1, 0, -1, -1},   {"lsetxattr", -1, 0, -1, -1}, {"removexattr", -1, 0, -1, -1},
    {"lremovexattr", -1, 0, -1, -1}, {"futimesat", 0, 1, -1, -1},  {"mkdir", -1, 0, -1, -1},      {"mkdirat", 0, 1, -1, -1},    {"rmdir", -1, 0, -1, -1},
    {"unlink", -1, 0, -1, -1},      {"unlinkat", 0, 1, -1, -1},    {"truncate", -1, 0, -1, -1},  {"chmod", -1, 0, -1, -1},
    {"fchmodat", 0, 1, -1, -1},     {"chown", -1, 0, -1, -1},      {"lchown", -1, 0, -1, -1},    {"fchownat", 0, 1, -1, -1},
    {"utime", -1, 0, -1, -1},       {"utimes", -1, 0, -1, -1},     {"utimensat", 0, 1, -1, -1},  {"mknod", -1, 0, -1, -1},
    {"mknodat", 0, 1, -1, -1},      {"execve", -1, 0, -1, -1},     {"execveat", 0, 1, -1, -1},   {"inotify_add_watch", -1, 1, -1, -1},
    {"symlink", -1, 1, -1, -1},     {"symlinkat", 1, 2, -1, -1},   {"rename", -1, 0, -1, 1},     {"renameat", 0, 1, 2, 3},
    {"renameat2", 0, 1, 2, 3},      {"link", -1, 0, -1, 1},        {"linkat", 0, 1, 2, 3}};

std::string ReadText(pid_t pid, uint64_t address) {
  std::string text;
  while (text.size() < PATH_MAX) {
    char buffer[256];
    // No read across a page that may not be there.
    const size_t within = 4096 - (address + text.size()) % 4096;
    iovec ours = {buffer, std::min(within, sizeof(buffer))};
    iovec theirs = {reinterpret_cast<void*>(address + text.size()), ours.iov_len};
    const ssize_t n = process_vm_readv(pid, &ours, 1, &theirs, 1, 0);
    if (n <= 0) return "";
    const size_t length = strnlen(buffer, static_cast<size_t>(n));
    text.append(buffer, length);
    if (length < static_cast<size_t>(n)) return text;
  }
  return "";
}

std::string ReadBytes(pid_t pid, uint64_t address, uint64_t length) {
  std::string bytes(std::min<uint64_t>(length, sizeof(sockaddr_storage)), '\0');
  iovec ours = {bytes.data(), bytes.size()};
  iovec theirs = {reinterpret_cast<void*>(address), bytes.size()};
  if (address == 0 || process_vm_readv(pid, &ours, 1, &theirs, 1, 0) != static_cast<ssize_t>(bytes.size())) return "";
  return bytes;
}

template <typename T>
T ReadAs(pid_t pid, uint64_t address) {
  T value = {};
  iovec ours = {&value, sizeof(value)};
  iovec theirs = {reinterpret_cast<void*>(address), sizeof(value)};
  if (process_vm_readv(pid, &ours, 1, &theirs, 1, 0) != static_cast<ssize_t>(sizeof(value))) return {};
  return value;
}

// Without "." and "..". Behind a link ".." is what is above the place where that leads: it is added to `crossed`.
std::string Normal(const std::filesystem::path& path, std::vector<std::string>& crossed) {
  std::filesystem::path at = "/";
  for (const std::filesystem::path& part : path.relative_path()) {
    std::error_code error;
    if (part == "..") {
      if (std::filesystem::is_symlink(at, error)) {
        crossed.push_back(at.native());
        at = std::filesystem::canonical(at, error);
      }
      at = at.parent_path();
    } else if (!part.empty() && part != ".") {
      at /= part;
    }
  }
  return at.native();
}

std::string Absolute(pid_t pid, std::optional<int> directory, const std::string& path, std::vector<std::string>& crossed) {
  if (path.empty()) return "";
  if (path[0] == '/') return Normal(path, crossed);
  const bool current = !directory.has_value() || *directory == AT_FDCWD;
  const std::string base = LinkTarget(current ? absl::StrCat("/proc/", pid, "/cwd") : absl::StrCat("/proc/", pid, "/fd/", *directory));
  if (base.empty() || base[0] != '/') return "";
  return Normal(std::filesystem::path(base) / path, crossed);
}

// Another descriptor for that of a thread. pidfd_getfd(2).
UniqueFd Borrow(pid_t tid, int descriptor) {
  std::ifstream status(absl::StrCat("/proc/", tid, "/status"));
  std::string word;
  pid_t pid = tid;
  while (status >> word && word != "Tgid:") {
  }
  status >> pid;  // Of the process: before Linux 6.9 there are no descriptors of threads.
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  return UniqueFd(process.valid() ? static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), descriptor, 0)) : -1);
}

// SOCK_STREAM and the like; -1 if it is no socket.
int SocketType(pid_t tid, int descriptor) {
  const UniqueFd socket = Borrow(tid, descriptor);
  int type = -1;
  socklen_t size = sizeof(type);
  if (!socket.valid() || getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0) return -1;
  return type;
}

// The path of a UNIX socket as it would be from the root directory.
void MakePathAbsolute(pid_t pid, std::string& address, TracedCall& call) {
  constexpr size_t kPath = offsetof(sockaddr_un, sun_path);
  if (address.size() <= kPath || address[kPath] == '\0' || address[kPath] == '/') return;
  sockaddr_un start = {};
  memcpy(&start, address.data(), std::min(address.size(), sizeof(start)));
  if (start.sun_family != AF_UNIX) return;
  const std::string path = Absolute(pid, std::nullopt, std::string(start.sun_path, strnlen(start.sun_path, sizeof(start.sun_path))), call.crossed_links);
  if (path.empty()) return;
  call.relative_address = true;
  address.resize(kPath);
  address += path;
}

void ReadAddresses(pid_t pid, TracedCall& call) {
  const auto add = [&](uint64_t at, uint64_t length) {
    std::string address = ReadBytes(pid, at, length);
    if (address.empty()) return;
    MakePathAbsolute(pid, address, call);
    call.addresses.push_back(std::move(address));
  };
  const auto add_message = [&](const msghdr& message) { add(reinterpret_cast<uint64_t>(message.msg_name), message.msg_namelen); };
  if (call.syscall == "connect" || call.syscall == "bind") add(call.args[1], call.args[2] & 0xffffffff);  // An int.
  if (call.syscall == "sendto") add(call.args[4], call.args[5] & 0xffffffff);
  if (call.syscall == "sendmsg") add_message(ReadAs<msghdr>(pid, call.args[1]));
  if (call.syscall == "sendmmsg") {
    const uint64_t count = std::min<uint64_t>(call.args[2] & 0xffffffff, UIO_MAXIOV);  // As the kernel takes them.
    for (uint64_t i = 0; i < count; ++i) add_message(ReadAs<mmsghdr>(pid, call.args[1] + i * sizeof(mmsghdr)).msg_hdr);
  }
  if (!call.addresses.empty() && call.syscall != "bind") call.socket_type = SocketType(pid, static_cast<int>(call.args[0]));
}

}  // namespace

std::string LinkTarget(const std::string& path) {
  char buffer[PATH_MAX];
  const ssize_t n = readlink(path.c_str(), buffer, sizeof(buffer));
  return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : "";
}

std::string ProgramName(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

std::string LoaderOf(const std::string& program) {
  std::ifstream file(program, std::ios::binary);
  Elf64_Ehdr header = {};
  if (!file.read(reinterpret_cast<char*>(&header), sizeof(header)) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return "";
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part = {};
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * sizeof(part)));
    if (!file.read(reinterpret_cast<char*>(&part), sizeof(part))) return "";
    if (part.p_type != PT_INTERP || part.p_filesz == 0 || part.p_filesz > PATH_MAX) continue;
    std::string path(part.p_filesz - 1, '\0');
    file.seekg(static_cast<std::streamoff>(part.p_offset));
    return file.read(path.data(), static_cast<std::streamsize>(path.size())) ? path : "";
  }
  return "";
}

std::string InterpreterOf(const std::string& script) {
  std::ifstream file(script, std::ios::binary);
  std::string line;
  if (!std::getline(file, line) || !absl::StartsWith(line, "#!")) return "";
  const std::vector<std::string> words = absl::StrSplit(line.substr(2), absl::ByAnyChar(" \t"), absl::SkipEmpty());
  return words.empty() ? "" : words[0];
}

void ReadResult(pid_t pid, TracedCall& call) {
  if (call.addresses.empty() && call.syscall != "listen") return;
  const UniqueFd socket = Borrow(pid, static_cast<int>(call.args[0]));
  sockaddr_storage address;
  socklen_t size = sizeof(address);
  if (!socket.valid() || getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return;
  call.own_address.assign(reinterpret_cast<const char*>(&address), std::min<size_t>(size, sizeof(address)));
}

void ReadArguments(pid_t pid, TracedCall& call) {
  for (const PathArguments& entry : kPaths) {
    if (entry.syscall != call.syscall) continue;
    const auto path = [&](int directory, int index) {
      std::optional<int> descriptor;
      if (directory >= 0) descriptor = static_cast<int>(call.args[static_cast<size_t>(directory)]);
      return Absolute(pid, descriptor, ReadText(pid, call.args[static_cast<size_t>(index)]), call.crossed_links);
    };
    call.path = path(entry.directory, entry.path);
    if (entry.other_path >= 0) call.other_path = path(entry.other_directory, entry.other_path);
    struct stat ignored;
    call.path_was_there = !call.path.empty() && lstat(call.path.c_str(), &ignored) == 0;
  }
  ReadAddresses(pid, call);
}

}  // namespace brood
