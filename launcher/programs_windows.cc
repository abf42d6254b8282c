#include "launcher/programs.h"

namespace brood {

absl::StatusOr<Programs> Programs::Launch(std::vector<LaunchOptions>, const std::vector<ProgramPipe>&, StopAll) {
  return absl::UnimplementedError("programs that are joined by pipes are not for Windows; start them one by one");
}

bool Programs::Advance() { return true; }

absl::Status Programs::Kill() { return absl::OkStatus(); }

absl::StatusOr<std::vector<ProgramEnded>> Programs::Join(absl::Duration) { return std::vector<ProgramEnded>(); }

}  // namespace brood
