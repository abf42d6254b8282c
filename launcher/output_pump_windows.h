// The limit of output of a child on Windows: what it writes passes through here on its way to where it belongs, and is counted.
//
// A stream with a limit takes a thread of the system's pool while the child lives: a pipe of Windows has no other way to be read
// and passed on at once. Streams without a limit are the child's own, and take none.
#ifndef BROOD_LAUNCHER_OUTPUT_PUMP_WINDOWS_H_
#define BROOD_LAUNCHER_OUTPUT_PUMP_WINDOWS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace brood::internal {

class OutputPump {
 public:
  explicit OutputPump(uint64_t limit);
  // Gives up what a sink does not take.
  ~OutputPump();
  OutputPump(const OutputPump&) = delete;
  OutputPump& operator=(const OutputPump&) = delete;

  // What the child writes to the handle that this gives, which it may inherit, goes to `sink`. Before Start.
  absl::StatusOr<UniqueFd> Through(UniqueFd sink);

  // `job` is ended with `exit_code` once there is more than the limit, of which no more is passed on; it must stay open until
  // Finish. Errors: what the system says.
  absl::Status Start(int job, uint32_t exit_code);

  // Once all that writes has ended: passes on what it has left behind. Waits for sinks.
  void Finish();

  bool over_limit() const { return over_limit_; }

 private:
  struct Stream;
  void Run(Stream& stream);
  bool Pass(Stream& stream, const char* data, size_t size);

  const uint64_t limit_;
  int job_ = -1;
  uint32_t exit_code_ = 0;
  std::atomic<uint64_t> seen_ = 0;
  std::atomic<bool> over_limit_ = false;
  UniqueFd stop_;  // An event.
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_OUTPUT_PUMP_WINDOWS_H_
