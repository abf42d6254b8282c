// When the forkservers of a `brood serve` are replaced, and the making of what replaces them: another server, started by exec and so laid
// out anew, with its templates.
//
// All is made in a thread, beside what is asked for, and is ready before anybody uses it. What is made and not used ends.
#ifndef BROOD_SERVE_ROTATION_H_
#define BROOD_SERVE_ROTATION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "forkserver/client.h"
#include "forkserver/event_loop.h"
#include "launcher/context_options.h"

namespace brood {

struct ServeRotation {
  // Functions that a forkserver and its templates bear together before they are replaced. 0: any number.
  uint64_t children = 0;
  absl::Duration age = absl::InfiniteDuration();  // Likewise, since they bore the first one.
};

namespace internal {

class Rotation {
 public:
  using Made = std::map<std::string, std::shared_ptr<ForkServer>>;  // By path, as the contexts.

  // `ready` is told what was made, or why that failed; then it is tried again after as many children, or as much time.
  Rotation(EventLoop& loop, ServeRotation when, std::function<void(absl::StatusOr<Made>)> ready);
  ~Rotation();

  // Errors: those of eventfd(2).
  absl::Status Open(std::map<std::string, ContextOptions> contexts);

  // A function was born.
  void NoteChild();

 private:
  struct Making;
  void Begin();
  void OnMade();
  void End(absl::StatusOr<Made> made);

  EventLoop& loop_;
  const ServeRotation when_;
  const std::function<void(absl::StatusOr<Made>)> ready_;
  std::map<std::string, ContextOptions> contexts_;
  uint64_t children_ = 0;  // Since the last time.
  bool making_ = false;
  std::optional<EventLoop::Timer> timer_;
  const std::shared_ptr<Making> made_;
};

}  // namespace internal
}  // namespace brood

#endif  // BROOD_SERVE_ROTATION_H_
