// The journal of a batch: append-only JSON Lines, the only truth about what has run.
//
//   BROOD_ASSIGN_OR_RETURN(Journal journal, Journal::Open("results.jsonl", {}));
//   BROOD_RETURN_IF_ERROR(journal.Append(StartedLine(event)));   // Before the attempt starts.
//   BROOD_RETURN_IF_ERROR(journal.Append(ResultLine(...)));      // The job's last attempt has ended.
//
// One write(2) for each line, with O_APPEND. A line that a crash or a full disk has torn is cut off before the next one
// is written, so that what was written whole is never lost.
#ifndef BROOD_BATCH_JOURNAL_H_
#define BROOD_BATCH_JOURNAL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "base/untrusted_directories.h"
#include "batch/result_json.h"

namespace brood {

struct JournalOptions {
  enum class Existing {
    kRefuse,    // An error if the file has content: two batches in one journal are told apart by nothing.
    kContinue,  // Append: the batch is resumed.
  };
  enum class Sync {
    kAlways,  // After each line.
    kTimed,   // With a line, if the last time is a second ago.
    kNever,
  };
  Existing existing = Existing::kRefuse;
  Sync sync = Sync::kTimed;
  UntrustedDirectories untrusted;  // As OpenToAppend has it.
};

class Journal {  // Move-only.
 public:
  // Opens or creates the file; "-" is standard output, of which nothing is synced or cut.
  //
  // Errors: AlreadyExists (kRefuse), InvalidArgument (kContinue: it is no journal, and is left as it is),
  // ResourceExhausted (another batch holds it), those of open(2) and fcntl(2).
  static absl::StatusOr<Journal> Open(const std::string& path, const JournalOptions& options);

  // Appends `line` and a line feed. After an error the file ends with its last whole line.
  absl::Status Append(std::string_view line);

  // With kTimed, makes durable what has been there for a second. To be called a few times a second: else the last line
  // before a long silence would wait for the next one.
  absl::Status SyncIfDue();

  // Makes what was appended durable, unless the sync option is kNever.
  absl::Status Close();

  // Whether it is a file, which can be read again and continued. Standard output, pipes and devices are not.
  bool regular() const { return regular_; }

 private:
  Journal() = default;

  absl::Status Sync();

  UniqueFd owned_;
  int fd_ = -1;
  bool regular_ = false;
  std::string name_;
  JournalOptions options_;
  absl::Time synced_ = absl::InfinitePast();
  bool dirty_ = false;  // Since then.
};

// What a journal says of one job.
struct JournalEntry {
  int attempt = 0;          // The last that started or ended.
  uint64_t definition = 0;  // Job::definition of that attempt; 0: not said.
  absl::Time start = absl::InfinitePast();
  std::string status;  // Of its last result; empty if it has none.

  bool finished() const { return !status.empty(); }
};

// By id. Torn and foreign lines are ignored. Errors: those of reading, InvalidArgument (a file with content of which no
// line is one of a journal, or with a line that is longer than any that a batch writes).
absl::StatusOr<std::map<std::string, JournalEntry>> ReadJournal(const std::string& path);

// Reads no more than it takes to know. Errors: as ReadJournal.
absl::Status CheckIsJournal(const std::string& path);

// Calls `use` with each result in the journal, in its order; one at a time is in memory. Errors: those of reading, a
// line that is too long, and those of `use`, which end it.
absl::Status ForEachResult(const std::string& path, const std::function<absl::Status(const ReadResult&)>& use);

// Whether a batch is writing to the journal at this moment. False for what is no regular file.
absl::StatusOr<bool> JournalIsInUse(const std::string& path);

}  // namespace brood

#endif  // BROOD_BATCH_JOURNAL_H_
