#include <elf.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "sandbox/learn/trace.h"
#include "sandbox/policy.h"
#include "sandbox/seccomp_compiler.h"

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
    {"listxattr", -1, 0, -1, -1},   {"mkdir", -1, 0, -1, -1},      {"mkdirat", 0, 1, -1, -1},    {"rmdir", -1, 0, -1, -1},
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

std::string LinkOf(const std::string& path) {
  char buffer[PATH_MAX];
  const ssize_t n = readlink(path.c_str(), buffer, sizeof(buffer));
  return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : "";
}

std::string Absolute(pid_t pid, std::optional<int> directory, const std::string& path) {
  if (path.empty()) return "";
  if (path[0] == '/') return std::filesystem::path(path).lexically_normal().string();
  const bool current = !directory.has_value() || *directory == AT_FDCWD;
  const std::string base = LinkOf(current ? absl::StrCat("/proc/", pid, "/cwd") : absl::StrCat("/proc/", pid, "/fd/", *directory));
  if (base.empty() || base[0] != '/') return "";
  return (std::filesystem::path(base) / path).lexically_normal().string();
}

std::string NameOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

// The loader that the kernel starts for a program, "" if none.
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

// "#!/bin/sh -e" -> "/bin/sh".
std::string InterpreterOf(const std::string& script) {
  std::ifstream file(script, std::ios::binary);
  std::string line;
  if (!std::getline(file, line) || !absl::StartsWith(line, "#!")) return "";
  const std::vector<std::string> words = absl::StrSplit(line.substr(2), absl::ByAnyChar(" \t"), absl::SkipEmpty());
  return words.empty() ? "" : words[0];
}

absl::StatusOr<std::vector<sock_filter>> LearningFilter() {
  Policy policy;
  policy.drop_privileges = true;
  policy.filter_syscalls = true;
  policy.unlisted = SyscallAction::kAllow;
  policy.syscalls.push_back({.names = {"@io-uring", "@newer", "clone3", "openat2"}, .action = SyscallAction::kErrno, .errno_value = ENOSYS});
  BROOD_ASSIGN_OR_RETURN(const CompiledFilter filter, CompileFilter(policy));
  return filter.instructions;
}

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

class Tracer {
 public:
  explicit Tracer(const std::function<void(const TracedCall&)>& on_call) : on_call_(on_call) {}

  absl::StatusOr<int> Run(const TraceOptions& options) {
    BROOD_ASSIGN_OR_RETURN(const std::vector<sock_filter> filter, LearningFilter());
    int begin[2];
    int failure[2];
    if (pipe2(begin, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2");
    const UniqueFd begin_read(begin[0]);
    UniqueFd begin_write(begin[1]);
    if (pipe2(failure, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2");
    const UniqueFd failure_read(failure[0]);
    UniqueFd failure_write(failure[1]);
    const std::vector<char*> argv = Pointers(options.argv);
    const std::vector<char*> env = Pointers(options.env);
    first_ = fork();
    if (first_ < 0) return ErrnoStatus(errno, "fork");
    if (first_ == 0) {
      char go;
      sock_fprog program = {static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
      int error = 0;
      if (read(begin_read.get(), &go, 1) != 1 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
          syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
        error = errno;
      }
      for (const std::string& candidate : options.candidates) {
        if (error != 0 && error != ENOENT && error != ENOTDIR) break;
        execve(candidate.c_str(), argv.data(), env.data());
        error = errno;
      }
      if (write(failure_write.get(), &error, sizeof(error)) < 0) _exit(126);
      _exit(127);
    }
    failure_write = UniqueFd();
    constexpr unsigned long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                                       PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, first_, nullptr, kOptions) != 0) {
      const int error = errno;
      kill(first_, SIGKILL);
      waitpid(first_, nullptr, 0);
      return ErrnoStatus(error, "ptrace: this process may not trace its own children; see kernel.yama.ptrace_scope");
    }
    ptrace(PTRACE_INTERRUPT, first_, nullptr, nullptr);
    if (write(begin_write.get(), "", 1) != 1) return ErrnoStatus(errno, "write");
    Loop();
    int error = 0;
    if (read(failure_read.get(), &error, sizeof(error)) == sizeof(error)) return ErrnoStatus(error, "run", options.argv[0]);
    return status_;
  }

 private:
  struct Thread {
    bool in_call = false;
    TracedCall call;
  };

  void Loop() {
    for (;;) {
      int status = 0;
      const pid_t pid = waitpid(-1, &status, __WALL);
      if (pid < 0 && errno == EINTR) continue;
      if (pid < 0) return;  // ECHILD: all have ended.
      if (WIFEXITED(status) || WIFSIGNALED(status)) {
        threads_.erase(pid);
        if (pid == first_) status_ = status;
        continue;
      }
      if (WIFSTOPPED(status)) OnStop(pid, status);
    }
  }

  void OnStop(pid_t pid, int status) {
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    if (signal == (SIGTRAP | 0x80)) {
      OnCall(pid);
    } else if (event == PTRACE_EVENT_EXEC) {
      OnExec(pid);
    } else if (event == PTRACE_EVENT_STOP) {
      const bool group = signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
      if (group) {
        ptrace(PTRACE_LISTEN, pid, nullptr, nullptr);
        return;
      }
    } else if (event == 0) {
      ptrace(PTRACE_SYSCALL, pid, nullptr, signal);
      return;
    }
    ptrace(PTRACE_SYSCALL, pid, nullptr, nullptr);
  }

  void OnCall(pid_t pid) {
    __ptrace_syscall_info info = {};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0) return;
    Thread& thread = threads_[pid];
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
      thread.in_call = true;
      thread.call = {};
      thread.call.syscall = SyscallName(info.arch, static_cast<int64_t>(info.entry.nr));
      std::copy(std::begin(info.entry.args), std::end(info.entry.args), thread.call.args.begin());
      ReadArguments(pid, thread.call);
      // There is no return from these.
      if (thread.call.syscall == "exit" || thread.call.syscall == "exit_group") Tell(pid, thread.call);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && thread.in_call) {
      thread.in_call = false;
      thread.call.result = info.exit.rval;
      Tell(pid, thread.call);
    }
  }

  static void ReadArguments(pid_t pid, TracedCall& call) {
    for (const PathArguments& entry : kPaths) {
      if (entry.syscall != call.syscall) continue;
      const auto path = [&](int directory, int index) {
        std::optional<int> descriptor;
        if (directory >= 0) descriptor = static_cast<int>(call.args[static_cast<size_t>(directory)]);
        return Absolute(pid, descriptor, ReadText(pid, call.args[static_cast<size_t>(index)]));
      };
      call.path = path(entry.directory, entry.path);
      if (entry.other_path >= 0) call.other_path = path(entry.other_directory, entry.other_path);
      struct stat ignored;
      call.path_was_there = !call.path.empty() && lstat(call.path.c_str(), &ignored) == 0;
    }
    if (call.syscall == "connect" || call.syscall == "bind") call.address = ReadBytes(pid, call.args[1], call.args[2]);
    if (call.syscall == "sendto") call.address = ReadBytes(pid, call.args[4], call.args[5]);
  }

  // What the kernel itself opens.
  void OnExec(pid_t pid) {
    began_ = true;
    Thread& thread = threads_[pid];
    const std::string program = LinkOf(absl::StrCat("/proc/", pid, "/exe"));
    const std::string named = thread.call.path.empty() ? program : thread.call.path;
    TracedCall call{.program = NameOf(pid), .syscall = "execve", .path_was_there = true};
    for (const std::string& path : {named, InterpreterOf(named), LoaderOf(program)}) {
      if (path.empty() || path[0] != '/') continue;
      call.path = path;
      on_call_(call);
    }
  }

  void Tell(pid_t pid, TracedCall& call) {
    if (!began_) return;  // Ours, before the program.
    call.program = NameOf(pid);
    on_call_(call);
  }

  const std::function<void(const TracedCall&)>& on_call_;
  std::map<pid_t, Thread> threads_;
  pid_t first_ = -1;
  int status_ = 0;
  bool began_ = false;
};

}  // namespace

absl::StatusOr<int> TraceProgram(const TraceOptions& options, const std::function<void(const TracedCall&)>& on_call) {
  return Tracer(on_call).Run(options);
}

}  // namespace brood
