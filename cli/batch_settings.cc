#include "cli/batch_settings.h"

#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "cli/shared_options.h"

namespace brood {
namespace {

template <typename T>
absl::Status ReadWord(const ParsedOptions& options, std::string_view name,
                      const std::vector<std::pair<std::string, T>>& words, T& to) {
  if (!options.Has(name)) return absl::OkStatus();
  std::vector<std::string> known;
  for (const auto& [word, value] : words) {
    known.push_back(word);
    if (word != options.Value(name)) continue;
    to = value;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(name, ": expected one of ", absl::StrJoin(known, ", "), ", got \"", options.Value(name), "\""));
}

absl::StatusOr<Shard> ParseShard(std::string_view text) {
  const std::vector<std::string_view> parts = absl::StrSplit(text, '/');
  Shard shard;
  if (parts.size() == 2 && absl::SimpleAtoi(parts[0], &shard.index) && absl::SimpleAtoi(parts[1], &shard.count) &&
      shard.index >= 1 && shard.index <= shard.count) {
    return shard;
  }
  return absl::InvalidArgumentError(absl::StrCat("--shard: expected I/N with I from 1 to N, got \"", text, "\""));
}

}  // namespace

absl::StatusOr<BatchSettings> ReadBatchSettings(const ParsedOptions& options) {
  BatchSettings settings;
  BROOD_ASSIGN_OR_RETURN(settings.defaults, ReadSharedOptions(options));
  settings.defaults.output_dir = options.Value("--output-dir");
  settings.scheduler.parallel = AvailableCpus();
  if (options.Has("--jobs")) {
    const absl::StatusOr<int> parallel = ParseParallel(options.Value("--jobs"));
    if (!parallel.ok()) return Annotate(parallel.status(), "--jobs");
    settings.scheduler.parallel = *parallel;
  }
  if (options.Has("--halt")) {
    const absl::StatusOr<HaltRule> halt = ParseHaltRule(options.Value("--halt"));
    if (!halt.ok()) return Annotate(halt.status(), "--halt");
    settings.scheduler.halt = *halt;
  }
  constexpr int kMaxRetries = 1000;
  const std::string retries = options.Value("--retries", "0");
  if (!absl::SimpleAtoi(retries, &settings.scheduler.retries) || settings.scheduler.retries < 0 ||
      settings.scheduler.retries > kMaxRetries) {
    return absl::InvalidArgumentError(
        absl::StrCat("--retries: expected 0 to ", kMaxRetries, ", got \"", retries, "\""));
  }
  if (settings.defaults.retry_lost > kMaxRetries) {
    return absl::InvalidArgumentError(absl::StrCat("--retry-lost: expected 0 to ", kMaxRetries, ", got \"", options.Value("--retry-lost"), "\""));
  }
  settings.scheduler.retry_lost = static_cast<int>(settings.defaults.retry_lost);
  settings.scheduler.keep_order = options.Has("--keep-order");
  settings.results = options.Value("--results", "-");
  settings.resume = options.Has("--resume");
  settings.dry_run = options.Has("--dry-run");
  if (settings.resume && settings.results == "-") {
    return absl::InvalidArgumentError("--resume needs the journal of the batch: --results FILE");
  }
  if (settings.scheduler.keep_order && settings.results != "-") {
    return absl::InvalidArgumentError(
        "--keep-order is for results on standard output: a journal has each as soon as it is there, or it could be "
        "lost");
  }
  if (options.Has("--shard")) {
    BROOD_ASSIGN_OR_RETURN(settings.shard, ParseShard(options.Value("--shard")));
  }
  settings.reports = {
      .joblog = options.Value("--joblog"), .junit = options.Value("--junit"), .trace = options.Value("--trace")};
  if (settings.resume) settings.journal.existing = JournalOptions::Existing::kContinue;
  using Sync = JournalOptions::Sync;
  BROOD_RETURN_IF_ERROR(ReadWord<Sync>(options, "--sync",
                                       {{"always", Sync::kAlways}, {"1s", Sync::kTimed}, {"never", Sync::kNever}},
                                       settings.journal.sync));
  using When = Progress::When;
  BROOD_RETURN_IF_ERROR(ReadWord<When>(options, "--progress",
                                       {{"auto", When::kAuto}, {"always", When::kAlways}, {"never", When::kNever}},
                                       settings.progress));
  return settings;
}

}  // namespace brood
