// What the command line of `brood batch` says, beside the jobs.
#ifndef BROOD_CLI_BATCH_SETTINGS_H_
#define BROOD_CLI_BATCH_SETTINGS_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "batch/journal.h"
#include "batch/process_runner.h"
#include "batch/reports.h"
#include "batch/scheduler.h"
#include "cli/options.h"
#include "cli/progress.h"

namespace brood {

// Job number k, from 1, belongs to the shard if it is congruent to `index`: neighbours in a file are alike, and so are
// shards then.
struct Shard {
  size_t index = 1;  // From 1.
  size_t count = 1;

  bool Has(size_t number) const { return number % count == index % count; }
};

struct BatchSettings {
  JobDefaults defaults;
  SchedulerOptions scheduler;
  JournalOptions journal;
  std::string results = "-";
  Progress::When progress = Progress::When::kAuto;
  bool resume = false;
  bool dry_run = false;
  Shard shard;
  ReportFiles reports;
};

// Errors: InvalidArgument naming the option.
absl::StatusOr<BatchSettings> ReadBatchSettings(const ParsedOptions& options);

}  // namespace brood

#endif  // BROOD_CLI_BATCH_SETTINGS_H_
