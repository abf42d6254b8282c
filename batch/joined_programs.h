// The programs of one job, and how they are joined: the fields "programs", "pipes" and "stop" of a job line.
#ifndef BROOD_BATCH_JOINED_PROGRAMS_H_
#define BROOD_BATCH_JOINED_PROGRAMS_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "batch/job.h"
#include "batch/json.h"
#include "launcher/programs.h"

namespace brood {

inline constexpr size_t kMaxPrograms = 64;

// "limit", "failure", "end", "never". Errors: InvalidArgument, what was expected.
absl::StatusOr<StopAll> ParseStop(std::string_view text);
std::string_view StopWord(StopAll stop);

// "24x80". Errors: as above.
absl::StatusOr<Terminal> ParseTerminalSize(std::string_view text);
std::string TerminalSizeText(const Terminal& terminal);

// {"from": "0.stdout", "to": "1.stdin", "keep": "1M"}, of `programs`, of which no end may have two uses. Errors: `FILE:LINE: field
// "pipes[0].from": expected ...`.
absl::StatusOr<ProgramPipe> ReadPipe(JsonObject object, const std::vector<Job>& programs, const std::vector<ProgramPipe>& others);

}  // namespace brood

#endif  // BROOD_BATCH_JOINED_PROGRAMS_H_
