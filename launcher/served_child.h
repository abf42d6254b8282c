// What a fork of the forkserver does with a request: becomes a guardian, or the target itself.
#ifndef BROOD_LAUNCHER_SERVED_CHILD_H_
#define BROOD_LAUNCHER_SERVED_CHILD_H_

#include <string_view>

#include "absl/status/status.h"
#include "base/setup_message.h"
#include "forkserver/request.h"

namespace brood::internal {

inline constexpr char kBirthStep[] = "birth";          // What the server's fork could not have of the caller.
inline constexpr char kServerStep[] = "forkserver";

// Ends the process.
void RunServedChild(Request& request);
// The same of a call; else it returns.
void RunServedCall(std::string_view bytes, int sender, const child::SlotBirth* slot);
void FailServedChild(Request& request, const absl::Status& status);

SetupMessage SetupFailureOf(const char* step, int error, std::string_view detail);

// As a guardian that could not begin; see RunGuardian. `report` is its pipe.
void ReportSetup(int report, const char* step, int error, std::string_view detail);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_SERVED_CHILD_H_
