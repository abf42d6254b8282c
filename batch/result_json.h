// Results as JSON objects (docs/results.md), the file form of outcomes: written for `brood batch` and `brood run
// --result`, read for resume, status and reports.
#ifndef BROOD_BATCH_RESULT_JSON_H_
#define BROOD_BATCH_RESULT_JSON_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "batch/job_runner.h"

namespace brood {

// One line without its line feed. A captured stream is `text` if it is valid UTF-8, else `base64`. `streams` says
// whether the streams were brood's to redirect; those that went to the caller's own are null.
enum class ResultStreams { kIncluded, kInherited };
std::string ResultLine(std::string_view id, int attempt, const JobEnd& end,
                       ResultStreams streams = ResultStreams::kIncluded);

// A result as it was read.
struct ReadResult {
  std::string id;
  int attempt = 1;
  std::string status;  // The word of the line, also one that this version does not know.
  JobEnd end;          // What ResultLine was given, as far as the line has it.
};

// Nothing if the line is torn or not a result. Unknown fields are ignored; what is absent, or of another type, has its
// default value.
std::optional<ReadResult> ParseResult(std::string_view line);

// A journal says that an attempt starts, before it does. Readers of results ignore such a line: it has an `event` and
// no `status`.
struct StartedEvent {
  std::string id;
  int attempt = 1;
  uint64_t definition = 0;  // Job::definition.
  absl::Time start;
};

// One line without its line feed.
std::string StartedLine(const StartedEvent& event);

// Nothing if the line is torn or not such an event.
std::optional<StartedEvent> ParseStarted(std::string_view line);

}  // namespace brood

#endif  // BROOD_BATCH_RESULT_JSON_H_
