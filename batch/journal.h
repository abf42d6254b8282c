// The journal of a batch: append-only JSON Lines, the only truth about what has run.
//
//   BROOD_ASSIGN_OR_RETURN(Journal journal, Journal::Open("results.jsonl", {}));
//   BROOD_RETURN_IF_ERROR(journal.Append(line));
//
// One write(2) for each line, with O_APPEND. A line that a crash or a full disk has torn is cut off before the next one
// is written, so that what was written whole is never lost.
#ifndef BROOD_BATCH_JOURNAL_H_
#define BROOD_BATCH_JOURNAL_H_

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
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
};

class Journal {  // Move-only.
 public:
  // Opens or creates the file; "-" is standard output, of which nothing is synced or cut.
  //
  // Errors: AlreadyExists (kRefuse), ResourceExhausted (another batch holds it), those of open(2).
  static absl::StatusOr<Journal> Open(const std::string& path, const JournalOptions& options);

  // Appends `line` and a line feed. After an error the file ends with its last whole line.
  absl::Status Append(std::string_view line);

  // Makes what was appended durable, unless the sync option is kNever.
  absl::Status Close();

 private:
  Journal() = default;

  UniqueFd owned_;
  int fd_ = -1;
  bool regular_ = false;
  std::string name_;
  JournalOptions options_;
  absl::Time synced_ = absl::InfinitePast();
};

// The last result of each id in the journal at `path`. Torn and foreign lines are ignored. Errors: those of reading.
absl::StatusOr<std::map<std::string, ResultHead>> ReadJournal(const std::string& path);

}  // namespace brood

#endif  // BROOD_BATCH_JOURNAL_H_
