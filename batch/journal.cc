#include "batch/journal.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "base/status.h"

namespace brood {
namespace {

// Two streams of 1 MiB, each byte six in JSON, and the rest.
constexpr size_t kMaxLineBytes = size_t{64} << 20;

absl::Status Lock(int fd, const std::string& name) {
  // A guardian that is just being born shares the description until it has closed what is not its own. If its brood is
  // killed at that moment, the lock lives for as long.
  constexpr int kTries = 20;
  constexpr absl::Duration kPause = absl::Milliseconds(10);
  for (int i = 0; i < kTries; ++i) {
    BROOD_ASSIGN_OR_RETURN(const bool locked, TryLock(fd, name));
    if (locked) return absl::OkStatus();
    absl::SleepFor(kPause);
  }
  return absl::ResourceExhaustedError(absl::StrCat("lock ", name, ": another batch writes to it"));
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
  BROOD_ASSIGN_OR_RETURN(const UniqueFd fd, OpenToRead(path));
  std::string pending;
  std::vector<char> buffer(size_t{1} << 16);
  while (true) {
    BROOD_ASSIGN_OR_RETURN(const size_t count, ReadSome(fd.get(), buffer.data(), buffer.size(), path));
    if (count == 0) return pending;  // Torn.
    std::string_view block(buffer.data(), count);
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
  BROOD_ASSIGN_OR_RETURN(const FileFacts facts, FactsOf(fd, name));
  uint64_t end = facts.bytes;
  std::array<char, 4096> buffer;
  while (end > 0) {
    const uint64_t start = end - std::min<uint64_t>(end, buffer.size());
    const size_t wanted = static_cast<size_t>(end - start);
    BROOD_ASSIGN_OR_RETURN(const size_t count, ReadAt(fd, start, buffer.data(), wanted, name));
    if (count < wanted) return absl::FailedPreconditionError(absl::StrCat("read ", name, ": it became shorter"));
    const std::string_view block(buffer.data(), count);
    const size_t feed = block.rfind('\n');
    if (feed == std::string_view::npos) {
      end = start;
      continue;
    }
    end = start + feed + 1;
    break;
  }
  return end == facts.bytes ? absl::OkStatus() : Truncate(fd, end, name);
}

}  // namespace

absl::StatusOr<Journal> Journal::Open(const std::string& path, const JournalOptions& options) {
  Journal journal;
  journal.options_ = options;
  if (path == "-") {
    journal.fd_ = StandardOutput();
    journal.name_ = "standard output";
    return journal;
  }
  BROOD_ASSIGN_OR_RETURN(journal.owned_, OpenToAppend(path, options.untrusted));
  journal.fd_ = journal.owned_.get();
  journal.name_ = path;
  BROOD_ASSIGN_OR_RETURN(FileFacts facts, FactsOf(journal.fd_, path));
  journal.regular_ = facts.regular;
  if (!journal.regular_) return journal;
  BROOD_RETURN_IF_ERROR(Lock(journal.fd_, path));
  // Again: another batch may have written and ended meanwhile.
  BROOD_ASSIGN_OR_RETURN(facts, FactsOf(journal.fd_, path));
  if (options.existing == JournalOptions::Existing::kRefuse && facts.bytes > 0) {
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
    const absl::StatusOr<size_t> count = WriteSome(fd_, rest, name_);
    if (!count.ok()) {
      if (regular_ && rest.size() < whole.size()) CutTornLine(fd_, name_).IgnoreError();
      return count.status();
    }
    rest.remove_prefix(*count);
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
  BROOD_RETURN_IF_ERROR(brood::Sync(fd_, name_));
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
  // What is no file may block whoever opens it.
  BROOD_ASSIGN_OR_RETURN(const FileFacts facts, FactsAt(path));
  if (!facts.regular) return false;
  BROOD_ASSIGN_OR_RETURN(const UniqueFd fd, OpenToRead(path));
  return IsLocked(fd.get(), path);
}

}  // namespace brood
