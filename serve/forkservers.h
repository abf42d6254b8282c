// The forkservers of a `brood serve`, its own and those of its templates: one that has ended is started again, preload and all, in a
// thread, so that nobody waits for that but who needs it.
#ifndef BROOD_SERVE_FORKSERVERS_H_
#define BROOD_SERVE_FORKSERVERS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/unique_fd.h"
#include "forkserver/event_loop.h"
#include "launcher/context_options.h"

namespace brood::internal {

class Forkservers {
 public:
  explicit Forkservers(EventLoop& loop);
  ~Forkservers();  // A start that is under way ends with the process.

  // Starts all, each after that which it is a template of, and returns when they have preloaded. Errors: those of Context::StartServer,
  // with the template's path.
  absl::Status Start(std::map<std::string, ContextOptions> contexts);

  const std::map<std::string, ContextOptions>& contexts() const { return contexts_; }

  // How many have ended. A child that was born before has perhaps outlived the supervisor below which it was.
  uint64_t ended() const;

  // For somebody who found it ended, and has asked since `since_ns` (CLOCK_MONOTONIC): OK, it is started again, or has been: try again.
  // Errors: why that failed.
  absl::Status Await(const std::string& path, int64_t since_ns);

 private:
  struct Ended;
  struct One {
    UniqueFd pidfd;  // Watched. Invalid: it is not known to run.
    bool starting = false;
    int64_t failed_ns = 0;
    absl::Status failure;
  };

  void Watch(const std::string& path);
  void Begin(const std::string& path);
  void OnEnded();

  EventLoop& loop_;
  std::map<std::string, ContextOptions> contexts_;
  std::map<std::string, One> all_;
  uint64_t count_ended_ = 0;
  const std::shared_ptr<Ended> ended_;  // Starts.
};

}  // namespace brood::internal

#endif  // BROOD_SERVE_FORKSERVERS_H_
