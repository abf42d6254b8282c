#include "batch/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "batch/files.h"

namespace brood {
namespace {

constexpr size_t kMaxJournalBytes = size_t{4} << 30;

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
  if (flock(journal.fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return absl::ResourceExhaustedError(absl::StrCat("lock ", path, ": another batch writes to it"));
  }
  if (options.existing == JournalOptions::Existing::kRefuse && status.st_size > 0) {
    return absl::AlreadyExistsError(
        absl::StrCat("results file ", path, " is not empty; continue that batch with --resume, or name another file"));
  }
  BROOD_RETURN_IF_ERROR(CutTornLine(journal.fd_, path));
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
  if (!regular_ || options_.sync == JournalOptions::Sync::kNever) return absl::OkStatus();
  const absl::Time now = absl::Now();
  if (options_.sync == JournalOptions::Sync::kTimed && now - synced_ < absl::Seconds(1)) return absl::OkStatus();
  synced_ = now;
  if (fdatasync(fd_) != 0) return ErrnoStatus(errno, "sync", name_);
  return absl::OkStatus();
}

absl::Status Journal::Close() {
  if (regular_ && options_.sync != JournalOptions::Sync::kNever && fdatasync(fd_) != 0) {
    return ErrnoStatus(errno, "sync", name_);
  }
  owned_.reset();
  fd_ = -1;
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, ResultHead>> ReadJournal(const std::string& path) {
  BROOD_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxJournalBytes));
  std::map<std::string, ResultHead> results;
  std::string_view rest = text;
  // What follows the last line feed is torn.
  for (size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    std::optional<ResultHead> head = ParseResultHead(rest.substr(0, end));
    rest.remove_prefix(end + 1);
    if (!head.has_value()) continue;
    std::string id = head->id;
    results.insert_or_assign(std::move(id), *std::move(head));
  }
  return results;
}

}  // namespace brood
