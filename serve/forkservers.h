// The forkservers of a `brood serve`, its own and those of its templates: one that has ended is started again, preload and all, in a
// thread, so that nobody waits for that but who needs it; and all are replaced now and then (rotation.h), which nobody waits for.
#ifndef BROOD_SERVE_FORKSERVERS_H_
#define BROOD_SERVE_FORKSERVERS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/unique_fd.h"
#include "forkserver/client.h"
#include "forkserver/event_loop.h"
#include "launcher/context_options.h"
#include "serve/rotation.h"
#include "serve/supervisors.h"

namespace brood::internal {

class Forkservers {
 public:
  // `warn` is told what goes wrong and no client asks for.
  Forkservers(EventLoop& loop, const ServeRotation& when, std::function<void(std::string_view)> warn);
  ~Forkservers();  // A start that is under way ends with the process.

  // Starts all, each after that which it is a template of, and returns when they have preloaded. Errors: those of Context::StartServer,
  // with the template's path.
  absl::Status Start(std::map<std::string, ContextOptions> contexts);

  const std::map<std::string, ContextOptions>& contexts() const { return contexts_; }

  // A child that is born of the forkserver of that path, by `instance`.
  void NoteChild(const std::string& path, const ForkServer::Instance& instance, bool is_function);
  uint64_t children(const std::string& path) const;

  // What is above the children: the running ones', and those that have been replaced, or have ended so that a child of theirs may have
  // outlived them.
  Supervisors& supervisors() { return supervisors_; }
  size_t replaced();  // That have children yet.

  uint64_t rotations() const { return rotations_; }
  uint64_t rotation_failures() const { return rotation_failures_; }
  const std::string& rotation_failure() const { return rotation_failure_; }  // Why the last one failed; empty: it did not.

  // For somebody who found it ended, and has asked since `since_ns` (CLOCK_MONOTONIC): OK, it is started again, or has been: try again.
  // Errors: why that failed.
  absl::Status Await(const std::string& path, int64_t since_ns);

 private:
  struct Ended;
  struct One {
    std::shared_ptr<ForkServer> server;     // Held: there may be more than a process keeps by itself.
    std::shared_ptr<const UniqueFd> pidfd;  // Watched. Null: it is not known to run.
    bool starting = false;
    int64_t failed_ns = 0;
    absl::Status failure;
    uint64_t children = 0;
  };

  void Watch(const std::string& path);
  void Unwatch(One& one);
  void Begin(const std::string& path);
  void OnEnded();
  absl::Status TakeOver(const Rotation::Made& made);
  void OnMade(absl::StatusOr<Rotation::Made> made);

  EventLoop& loop_;
  const std::function<void(std::string_view)> warn_;
  std::map<std::string, ContextOptions> contexts_;
  std::map<std::string, One> all_;
  Supervisors supervisors_;
  Rotation rotation_;
  uint64_t rotations_ = 0;
  uint64_t rotation_failures_ = 0;
  std::string rotation_failure_;
  const std::shared_ptr<Ended> ended_;  // Starts.
};

}  // namespace brood::internal

#endif  // BROOD_SERVE_FORKSERVERS_H_
