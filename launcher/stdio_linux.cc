#include "launcher/stdio_linux.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/given_file.h"
#include "base/slow_file.h"
#include "base/status.h"
#include "launcher/terminal_linux.h"
#include "sandbox/linux_plan.h"

namespace brood {
namespace {

constexpr uint64_t kDefaultCapture = 16u << 20;
constexpr const char* kNames[] = {"stdin", "stdout", "stderr"};

int Own(PreparedStdio* out, int fd) {
  out->owned.emplace_back(fd);
  return fd;
}

absl::StatusOr<int> Open(PreparedStdio* out, const char* path, int flags) {
  UniqueFd file = OpenGivenFile(out->writable, path, flags | O_NOCTTY);
  if (!file.valid()) return ErrnoStatus(errno, errno == ELOOP && !out->writable.empty() ? "open, following no link where a child may write," : "open", path);
  return Own(out, file.release());
}

// True for what has a name. A pipe of no name, as /dev/stdin may be one, is opened without waiting. fifo(7), pipe(7).
bool IsFifo(const struct stat& status, const struct statfs& system) {
  return S_ISFIFO(status.st_mode) && system.f_type != PIPEFS_MAGIC;
}

// Opening a FIFO waits for somebody at its other end, perhaps for ever, and no limit of the child counts yet. Without
// waiting a child would read the end of the file before its writer came.
absl::StatusOr<int> OpenPath(PreparedStdio* out, const std::string& path, int number) {
  const absl::Status refused = absl::InvalidArgumentError(
      absl::StrCat(kNames[number], ": ", path, " is a FIFO, whose opening may wait for ever; open it and give the descriptor"));
  struct stat status;
  struct statfs system;
  // Looked at first, so that whoever waits at the other end does not see us come and go.
  if (stat(path.c_str(), &status) == 0 && statfs(path.c_str(), &system) == 0 && IsFifo(status, system)) return refused;
  const int flags = number == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC;
  BROOD_ASSIGN_OR_RETURN(const int fd, Open(out, path.c_str(), flags | O_NONBLOCK));
  if (fstat(fd, &status) != 0 || fstatfs(fd, &system) != 0) return ErrnoStatus(errno, "stat", path);
  if (IsFifo(status, system)) return refused;
  if (fcntl(fd, F_SETFL, 0) != 0) return ErrnoStatus(errno, "fcntl", path);
  return fd;
}

absl::StatusOr<int> Memory(UniqueFd* memory) {
  memory->reset(memfd_create("brood-capture", MFD_CLOEXEC));
  if (!memory->valid()) return ErrnoStatus(errno, "memfd_create");
  return memory->get();
}

// Where a stream finally leads.
absl::StatusOr<int> Sink(const Stdio& spec, int number, PreparedStdio* out) {
  switch (spec.kind) {
    case Stdio::Kind::kInherit:
      // A caller whose own stream is closed gives an empty one: the number must not fall to some other file.
      if (fcntl(number, F_GETFD) < 0) return Open(out, "/dev/null", number == 0 ? O_RDONLY : O_WRONLY);
      return number;
    case Stdio::Kind::kNull:
      return Open(out, "/dev/null", number == 0 ? O_RDONLY : O_WRONLY);
    case Stdio::Kind::kFd:
    case Stdio::Kind::kRelay:
      if (fcntl(spec.fd, F_GETFD) < 0) return ErrnoStatus(errno, absl::StrCat(kNames[number], ": descriptor"), absl::StrCat(spec.fd));
      return spec.fd;
    case Stdio::Kind::kPath:
      return OpenPath(out, spec.path, number);
    case Stdio::Kind::kCapture: {
      if (number == 0) return absl::InvalidArgumentError("stdin: cannot be captured");
      if (spec.fd >= 0) return spec.fd;
      return Memory(&out->captured[number - 1]);
    }
    case Stdio::Kind::kMerge:
      return absl::InvalidArgumentError(absl::StrCat(kNames[number], ": only stderr can be merged, with stdout"));
  }
  return absl::InvalidArgumentError("unknown kind of stream");
}

// Two descriptions of one file would write over each other, and what came first would be lost: one serves both, as for 2>&1.
bool IsSameFile(int opened, const std::string& path) {
  struct stat one, other;
  return fstat(opened, &one) == 0 && stat(path.c_str(), &other) == 0 && S_ISREG(one.st_mode) && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

// What the guardian is to read, which must never wait in read(2): others may have read what poll(2) saw.
absl::StatusOr<int> Source(int fd, PreparedStdio* out) {
  struct stat status;
  if (fstat(fd, &status) != 0) return ErrnoStatus(errno, "stdin: stat");
  if (S_ISDIR(status.st_mode)) return absl::InvalidArgumentError("stdin: is a directory");
  // A guardian has a session of its own, so that no job control keeps it from the keys that are typed for others. termios(3)
  if (isatty(fd) == 1) return absl::InvalidArgumentError("stdin: a terminal cannot be passed on by the guardian; read it yourself, and give a pipe");
  if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode)) return fd;  // Sockets are asked not to wait.
  const int own = open(absl::StrCat("/proc/self/fd/", fd).c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  // Another user's pipe. One that nobody else reads does not wait after poll(2).
  return own >= 0 ? Own(out, own) : fd;
}

absl::Status OpenPipe(PreparedStdio* out, int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  Own(out, ends[0]);
  Own(out, ends[1]);
  return absl::OkStatus();
}

absl::Status RelayInput(int fd, PreparedStdio* out) {
  BROOD_ASSIGN_OR_RETURN(out->input.source, Source(fd, out));
  int ends[2];
  BROOD_RETURN_IF_ERROR(OpenPipe(out, ends));
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  out->child[0] = ends[0];
  out->input.sink = ends[1];
  return absl::OkStatus();
}

// The pair's one side becomes all streams; guardian and caller get what they need of the other.
absl::Status PrepareTerminal(const LaunchOptions& options, PreparedStdio* out) {
  if (options.stderr_spec.kind != Stdio::Kind::kInherit && options.stderr_spec.kind != Stdio::Kind::kMerge) {
    return absl::InvalidArgumentError("stderr: the child's terminal shows all that it writes, so that it cannot go elsewhere; leave it out");
  }
  BROOD_ASSIGN_OR_RETURN(const int typed, Sink(options.stdin_spec, 0, out));
  BROOD_ASSIGN_OR_RETURN(out->input.source, Source(typed, out));
  BROOD_ASSIGN_OR_RETURN(const int sink, Sink(options.stdout_spec, 1, out));
  BROOD_ASSIGN_OR_RETURN(TerminalPair pair, OpenTerminal(*options.terminal));
  for (int& child : out->child) child = pair.slave.get();
  out->input.sink = out->streams[0].pipe = pair.master.get();
  out->input.terminal = pair.slave.get();
  out->streams[0].sink = sink;
  const Stdio& spec = options.stdout_spec;
  out->streams[0].ends_sink = spec.kind == Stdio::Kind::kRelay;
  if (spec.kind == Stdio::Kind::kCapture) out->streams[0].keep_bytes = spec.capture_bytes > 0 ? spec.capture_bytes : kDefaultCapture;
  out->owned.push_back(std::move(pair.master));
  out->terminal = std::move(pair.slave);
  return absl::OkStatus();
}

}  // namespace

// A directory is a way to all that lies below and above it, whatever the child's own root shows. openat(2).
absl::Status CheckStream(int fd, int number) {
  const std::optional<mode_t> mode = ModeAtOnce(fd);
  if (!mode.has_value()) return ErrnoStatus(errno, absl::StrCat(kNames[number], ": statx"));
  if (!S_ISDIR(*mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      kNames[number], ": is a directory, through which the child could leave its root; show it by a file rule (--ro, --rw)"));
}

UntrustedDirectories WritableSources(const LaunchOptions& options) {
  UntrustedDirectories sources(options.untrusted);
  if (options.policy != nullptr) {
    const ChildPlan& plan = options.policy->platform().child;
    for (size_t i = 0; i < plan.mount_count; ++i) {
      const MountStep& step = plan.mounts[i];
      // Devices are the only ones without the other.
      const bool shown = step.kind == MountStep::Kind::kBind && (step.attributes & (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV)) == MOUNT_ATTR_NODEV;
      // Who may write to all of the machine has no need of a link.
      const bool all = step.source != nullptr && std::string_view(step.source) == "/";
      if ((shown && !all) || step.kind == MountStep::Kind::kChanges) sources.Add(step.source);
    }
  } else if (options.server_policy.has_value()) {
    for (const FileRule& rule : options.server_policy->files) {
      if (rule.kind == FileRule::Kind::kBind && rule.access == FileRule::Access::kReadWrite && rule.source != "/") sources.Add(rule.source);
    }
  }
  return sources;
}

absl::Status PrepareStdio(const LaunchOptions& options, bool counted, PreparedStdio* out) {
  out->writable = WritableSources(options);
  const bool own_root = options.policy != nullptr && options.policy->platform().child.mount_count > 0;
  if (options.terminal.has_value()) return PrepareTerminal(options, out);
  BROOD_ASSIGN_OR_RETURN(out->child[0], Sink(options.stdin_spec, 0, out));
  if (options.stdin_spec.kind == Stdio::Kind::kRelay) BROOD_RETURN_IF_ERROR(RelayInput(out->child[0], out));
  if (own_root) BROOD_RETURN_IF_ERROR(CheckStream(out->child[0], 0));
  int to_path = -1;  // Where stdout leads, if that was given by its path.
  for (int number = 1; number <= 2; ++number) {
    const Stdio& spec = number == 1 ? options.stdout_spec : options.stderr_spec;
    // Its opening would empty it before it is read.
    if (spec.kind == Stdio::Kind::kPath && options.stdin_spec.kind == Stdio::Kind::kPath && IsSameFile(out->child[0], spec.path)) {
      return absl::InvalidArgumentError(absl::StrCat(kNames[number], ": ", spec.path, " is stdin too, and would be emptied before it is read"));
    }
    const bool same = number == 2 && spec.kind == Stdio::Kind::kPath && to_path >= 0 && IsSameFile(to_path, spec.path);
    if (number == 2 && (spec.kind == Stdio::Kind::kMerge || same)) {
      out->child[2] = out->child[1];
      continue;
    }
    BROOD_ASSIGN_OR_RETURN(const int sink, Sink(spec, number, out));
    if (own_root) BROOD_RETURN_IF_ERROR(CheckStream(sink, number));
    if (spec.kind == Stdio::Kind::kPath) to_path = sink;
    const bool relays = spec.kind == Stdio::Kind::kRelay;
    if (!counted && !relays && spec.kind != Stdio::Kind::kCapture) {
      out->child[number] = sink;
      continue;
    }
    int pipe[2];
    BROOD_RETURN_IF_ERROR(OpenPipe(out, pipe));
    fcntl(pipe[0], F_SETFL, O_NONBLOCK);
    out->child[number] = pipe[1];
    StreamRecord& stream = out->streams[number - 1];
    stream.pipe = pipe[0];
    stream.sink = sink;
    stream.ends_sink = relays;
    if (relays && spec.capture_bytes > 0) {
      BROOD_ASSIGN_OR_RETURN(stream.copy, Memory(&out->captured[number - 1]));
      stream.copy_bytes = spec.capture_bytes;
    }
    if (spec.kind == Stdio::Kind::kCapture) stream.keep_bytes = spec.capture_bytes > 0 ? spec.capture_bytes : kDefaultCapture;
  }
  return absl::OkStatus();
}

}  // namespace brood
