// Results as the JSON objects that DESIGN.md lists: written for `brood batch` and `brood run --result`, read for resume
// and status.
#ifndef BROOD_BATCH_RESULT_JSON_H_
#define BROOD_BATCH_RESULT_JSON_H_

#include <optional>
#include <string>
#include <string_view>

#include "batch/job_runner.h"

namespace brood {

// One line without its line feed. A captured stream is `text` if it is valid UTF-8, else `base64`. `streams` says
// whether the streams were brood's to redirect; those that went to the caller's own are null.
enum class ResultStreams { kIncluded, kInherited };
std::string ResultLine(std::string_view id, int attempt, const JobEnd& end,
                       ResultStreams streams = ResultStreams::kIncluded);

// What readers of a journal need of a line.
struct ResultHead {
  std::string id;
  int attempt = 1;
  std::string status;
  double wall_seconds = 0;
};

// Nothing if the line is torn or not a result. Unknown fields are ignored.
std::optional<ResultHead> ParseResultHead(std::string_view line);

}  // namespace brood

#endif  // BROOD_BATCH_RESULT_JSON_H_
