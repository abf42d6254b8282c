#include "launcher/stdio_linux.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/slow_file.h"
#include "base/status.h"
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
  const int fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
  if (fd < 0) return ErrnoStatus(errno, "open", path);
  return Own(out, fd);
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
      if (fcntl(spec.fd, F_GETFD) < 0) return ErrnoStatus(errno, absl::StrCat(kNames[number], ": descriptor"), absl::StrCat(spec.fd));
      return spec.fd;
    case Stdio::Kind::kPath:
      return OpenPath(out, spec.path, number);
    case Stdio::Kind::kCapture: {
      if (number == 0) return absl::InvalidArgumentError("stdin: cannot be captured");
      if (spec.fd >= 0) return spec.fd;
      UniqueFd& memory = out->captured[number - 1];
      memory.reset(memfd_create("brood-capture", MFD_CLOEXEC));
      if (!memory.valid()) return ErrnoStatus(errno, "memfd_create");
      return memory.get();
    }
    case Stdio::Kind::kMerge:
      return absl::InvalidArgumentError(absl::StrCat(kNames[number], ": only stderr can be merged, with stdout"));
  }
  return absl::InvalidArgumentError("unknown kind of stream");
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

absl::Status PrepareStdio(const LaunchOptions& options, bool counted, PreparedStdio* out) {
  const bool own_root = options.policy != nullptr && options.policy->platform().child.mount_count > 0;
  BROOD_ASSIGN_OR_RETURN(out->child[0], Sink(options.stdin_spec, 0, out));
  if (own_root) BROOD_RETURN_IF_ERROR(CheckStream(out->child[0], 0));
  for (int number = 1; number <= 2; ++number) {
    const Stdio& spec = number == 1 ? options.stdout_spec : options.stderr_spec;
    if (number == 2 && spec.kind == Stdio::Kind::kMerge) {
      out->child[2] = out->child[1];
      continue;
    }
    BROOD_ASSIGN_OR_RETURN(const int sink, Sink(spec, number, out));
    if (own_root) BROOD_RETURN_IF_ERROR(CheckStream(sink, number));
    if (!counted && spec.kind != Stdio::Kind::kCapture) {
      out->child[number] = sink;
      continue;
    }
    int pipe[2];
    if (pipe2(pipe, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
    Own(out, pipe[0]);
    Own(out, pipe[1]);
    fcntl(pipe[0], F_SETFL, O_NONBLOCK);
    out->child[number] = pipe[1];
    StreamRecord& stream = out->streams[number - 1];
    stream.pipe = pipe[0];
    stream.sink = sink;
    if (spec.kind == Stdio::Kind::kCapture) stream.keep_bytes = spec.capture_bytes > 0 ? spec.capture_bytes : kDefaultCapture;
  }
  return absl::OkStatus();
}

}  // namespace brood
