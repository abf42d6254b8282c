// A LaunchRecord as bytes and a list of descriptors (serialization/launch.fbs), for a forkserver: the start of a function, or
// of a program in a slot.
#ifndef BROOD_LAUNCHER_LAUNCH_FLATBUFFER_H_
#define BROOD_LAUNCHER_LAUNCH_FLATBUFFER_H_

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "forkserver/birth.h"
#include "launcher/launch_record.h"
#include "launcher/plan_flatbuffer.h"

namespace brood::internal {

struct EncodedLaunch {
  std::string bytes;
  std::vector<int> fds;  // Borrowed from the record; the first one is its report pipe.
};

EncodedLaunch EncodeLaunch(const LaunchRecord& record, const Birth& birth, absl::Duration patience);

// A record with all that it points to. Must outlive its use; the descriptors are never closed by it.
struct ReceivedLaunch {
  LaunchRecord record;  // `target.run` is left to the caller.
  Birth birth;
  absl::Duration patience = absl::InfiniteDuration();  // For the server to take it.

  std::string bytes;  // Texts of the record are in here.
  std::deque<std::vector<const char*>> pointers;
  std::vector<FdMove> moves;
  ReceivedPlan plan;
};

// `fds` are the descriptors that came with the bytes. Errors: DataLoss (not well formed, or it names what did not come). One in a slot
// may have nothing for a guardian but the report pipe: HasGuardianPart.
absl::StatusOr<std::unique_ptr<ReceivedLaunch>> DecodeLaunch(std::string bytes, const std::vector<UniqueFd>& fds);

// Whether all is there that a guardian, or the supervisor in its stead, speaks with its client by.
bool HasGuardianPart(const LaunchRecord& record);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_LAUNCH_FLATBUFFER_H_
