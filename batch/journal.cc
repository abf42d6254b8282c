#include "batch/journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"

namespace brood {
namespace {

// Two streams of 1 MiB, each byte six in JSON, and the rest.
constexpr size_t kMaxLineBytes = size_t{64} << 20;

// An open file description's lock, not flock(2): whether it is held can be asked without taking it, and it works over
// NFS. fcntl(2), "Open file description locks".
struct flock WholeFile() {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

absl::Status Lock(int fd, const std::string& name) {
  // A guardian that is just being born shares the description until it has closed what is not its own. If its brood is
  // killed at that moment, the lock lives for as long.
  constexpr int kTries = 20;
  constexpr absl::Duration kPause = absl::Milliseconds(10);
  for (int i = 0; i < kTries; ++i) {
    struct flock lock = WholeFile();
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return absl::OkStatus();
    if (errno != EAGAIN && errno != EACCES) return ErrnoStatus(errno, "lock", name);
    absl::SleepFor(kPause);
  }
  return absl::ResourceExhaustedError(absl::StrCat("lock ", name, ": another batch writes to it"));
}

// The name of a new file is durable when its directory is.
absl::Status SyncDirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // A directory that may be written to and not read cannot be synced; nor can some file systems.
  if (!fd.valid() && errno == EACCES) return absl::OkStatus();
  if (!fd.valid()) return ErrnoStatus(errno, "open", directory);
  if (fsync(fd.get()) != 0 && errno != EINVAL) return ErrnoStatus(errno, "sync", directory);
  return absl::OkStatus();
}

// How each line begins that a batch writes, see result_json.cc.
constexpr std::string_view kLineStart = "{\"v\":";

constexpr std::string_view kNoLine = "no line of it is one of a journal";

bool MayBeTorn(std::string_view text) {
  const size_t size = std::min(text.size(), kLineStart.size());
  return text.substr(0, size) == kLineStart.substr(0, size);
}

absl::Status NoJournal(const std::string& path, std::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("read ", path, ": ", why, "; expected a file that brood batch --results has written"));
}

// Calls `use` with each whole line, and gives what follows the last one.
absl::StatusOr<std::string> ForEachLine(const std::string& path,
                                        const std::function<absl::Status(std::string_view)>& use) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "open", path);
  std::string pending;
  std::vector<char> buffer(size_t{1} << 16);
  while (true) {
    const ssize_t count = read(fd.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "read", path);
    if (count == 0) return pending;  // Torn.
    std::string_view block(buffer.data(), static_cast<size_t>(count));
    for (size_t end = block.find('\n'); end != std::string_view::npos; end = block.find('\n')) {
      pending.append(block.substr(0, end));
      BROOD_RETURN_IF_ERROR(use(pending));
      pending.clear();
      block.remove_prefix(end + 1);
    }
    pending.append(block);
    if (pending.size() > kMaxLineBytes) {
      return NoJournal(path, absl::StrCat("a line of more than ", kMaxLineBytes, " bytes"));
    }
  }
}

// Cuts the file after its last line feed.
absl::Status CutTornLine(int fd, const std::string& name) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) return ErrnoStatus(errno, "stat", name);
  off_t end = status.st_size;
  std::array<char, 4096> buffer;
  while (end > 0) {
    const off_t start = std::max<off_t>(0, end - static_cast<off_t>(buffer.size()));
    const ssize_t count = pread(fd, buffer.data(), static_cast<size_t>(end - start), start);
    if (count < 0) return ErrnoStatus(errno, "read", name);
    if (count < end - start) return absl::FailedPreconditionError(absl::StrCat("read ", name, ": it became shorter"));
    const std::string_view block(buffer.data(), static_cast<size_t>(count));
    const size_t feed = block.rfind('\n');
    if (feed == std::string_view::npos) {
      end = start;
      continue;
    }
    end = start + static_cast<off_t>(feed) + 1;
    break;
  }
  if (end == status.st_size) return absl::OkStatus();
  if (ftruncate(fd, end) != 0) return ErrnoStatus(errno, "truncate", name);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Journal> Journal::Open(const std::string& path, const JournalOptions& options) {
  Journal journal;
  journal.options_ = options;
  if (path == "-") {
    journal.fd_ = STDOUT_FILENO;
    journal.name_ = "standard output";
    return journal;
  }
  journal.owned_ = UniqueFd(open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666));
  if (!journal.owned_.valid()) return ErrnoStatus(errno, "open", path);
  journal.fd_ = journal.owned_.get();
  journal.name_ = path;
  struct stat status = {};
  if (fstat(journal.fd_, &status) != 0) return ErrnoStatus(errno, "stat", path);
  journal.regular_ = S_ISREG(status.st_mode);
  if (!journal.regular_) return journal;
  BROOD_RETURN_IF_ERROR(Lock(journal.fd_, path));
  // Again: another batch may have written and ended meanwhile.
  if (fstat(journal.fd_, &status) != 0) return ErrnoStatus(errno, "stat", path);
  if (options.existing == JournalOptions::Existing::kRefuse && status.st_size > 0) {
    return absl::AlreadyExistsError(
        absl::StrCat("results file ", path, " is not empty; continue that batch with --resume, or name another file"));
  }
  // Somebody's text file must not lose its last line because it was named by mistake.
  BROOD_RETURN_IF_ERROR(CheckIsJournal(path));
  BROOD_RETURN_IF_ERROR(CutTornLine(journal.fd_, path));
  if (options.sync != JournalOptions::Sync::kNever) BROOD_RETURN_IF_ERROR(SyncDirectoryOf(path));
  return journal;
}

absl::Status Journal::Append(std::string_view line) {
  const std::string whole = absl::StrCat(line, "\n");
  std::string_view rest = whole;
  while (!rest.empty()) {
    const ssize_t count = write(fd_, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const absl::Status failed = ErrnoStatus(errno, "write", name_);
      if (regular_ && rest.size() < whole.size()) CutTornLine(fd_, name_).IgnoreError();
      return failed;
    }
    rest.remove_prefix(static_cast<size_t>(count));
    // A disk that fills up takes a part: the second write, which would tell why, must not make a line of two halves.
    if (regular_ && !rest.empty()) {
      BROOD_RETURN_IF_ERROR(CutTornLine(fd_, name_));
      return absl::ResourceExhaustedError(absl::StrCat("write ", name_, ": short write; is the disk full?"));
    }
  }
  dirty_ = true;
  return options_.sync == JournalOptions::Sync::kAlways ? Sync() : SyncIfDue();
}

absl::Status Journal::Sync() {
  if (!regular_ || !dirty_ || options_.sync == JournalOptions::Sync::kNever) return absl::OkStatus();
  if (fdatasync(fd_) != 0) return ErrnoStatus(errno, "sync", name_);
  synced_ = absl::Now();
  dirty_ = false;
  return absl::OkStatus();
}

absl::Status Journal::SyncIfDue() {
  if (options_.sync != JournalOptions::Sync::kTimed || absl::Now() - synced_ < absl::Seconds(1)) {
    return absl::OkStatus();
  }
  return Sync();
}

absl::Status Journal::Close() {
  BROOD_RETURN_IF_ERROR(Sync());
  owned_.reset();
  fd_ = -1;
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, JournalEntry>> ReadJournal(const std::string& path) {
  std::map<std::string, JournalEntry> entries;
  bool foreign = false;
  const absl::StatusOr<std::string> torn = ForEachLine(path, [&](std::string_view line) {
    if (const std::optional<ReadResult> result = ParseResult(line); result.has_value()) {
      JournalEntry& entry = entries[result->id];
      entry.attempt = std::max(entry.attempt, result->attempt);
      entry.status = result->status;
    } else if (const std::optional<StartedEvent> event = ParseStarted(line); event.has_value()) {
      JournalEntry& entry = entries[event->id];
      entry.attempt = std::max(entry.attempt, event->attempt);
      entry.definition = event->definition;
      entry.start = event->start;
    } else {
      foreign = true;
    }
    return absl::OkStatus();
  });
  BROOD_RETURN_IF_ERROR(torn.status());
  if (entries.empty() && (foreign || !MayBeTorn(*torn))) return NoJournal(path, kNoLine);
  return entries;
}

absl::Status CheckIsJournal(const std::string& path) {
  bool foreign = false;
  const absl::StatusOr<std::string> torn = ForEachLine(path, [&](std::string_view line) {
    if (ParseResult(line).has_value() || ParseStarted(line).has_value()) return absl::CancelledError("enough is read");
    foreign = true;
    return absl::OkStatus();
  });
  if (absl::IsCancelled(torn.status())) return absl::OkStatus();
  BROOD_RETURN_IF_ERROR(torn.status());
  return foreign || !MayBeTorn(*torn) ? NoJournal(path, kNoLine) : absl::OkStatus();
}

absl::Status ForEachResult(const std::string& path, const std::function<absl::Status(const ReadResult&)>& use) {
  return ForEachLine(path,
                     [&](std::string_view line) {
                       const std::optional<ReadResult> result = ParseResult(line);
                       return result.has_value() ? use(*result) : absl::OkStatus();
                     })
      .status();
}

absl::StatusOr<bool> JournalIsInUse(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return ErrnoStatus(errno, "open", path);
  struct stat status = {};
  if (fstat(fd.get(), &status) != 0) return ErrnoStatus(errno, "stat", path);
  if (!S_ISREG(status.st_mode)) return false;
  struct flock lock = WholeFile();
  if (fcntl(fd.get(), F_OFD_GETLK, &lock) != 0) return ErrnoStatus(errno, "ask for the lock of", path);
  return lock.l_type != F_UNLCK;
}

}  // namespace brood
