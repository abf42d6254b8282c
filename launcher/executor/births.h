// How a pool's workers are born, and the one that a pool holds. Not for users.
#ifndef BROOD_LAUNCHER_EXECUTOR_BIRTHS_H_
#define BROOD_LAUNCHER_EXECUTOR_BIRTHS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "launcher/context.h"
#include "launcher/executor/task.h"
#include "launcher/launch_options.h"
#include "launcher/outcome.h"
#include "serialization/wire.h"

namespace brood::internal {

// A worker process. Its destruction ends it.
class WorkerProcess {
 public:
  virtual ~WorkerProcess() = default;
  virtual int pid() const = 0;
  virtual int sentinel() const = 0;  // Readable when it has ended. Borrowed, until Join.
  virtual void Terminate() = 0;
  virtual void Kill() = 0;  // The whole tree.
  virtual Outcome Join() = 0;
};

// What every worker of a pool is told.
struct WorkerSetup {
  PoolTarget initializer;  // Without a name: none.
  std::string arguments;
  WireHandles handles;
  uint64_t max_result_bytes = 0;
};

class Births {
 public:
  virtual ~Births() = default;
  // A worker with its ends of stream and journal; blocks until it runs. Errors: those of Context::Start.
  virtual absl::StatusOr<std::unique_ptr<WorkerProcess>> Start(UniqueFd stream, UniqueFd journal) = 0;
  // After the end of the last worker.
  virtual void Stop() {}
};

// Calls `visit(int&)` for each descriptor that the options borrow.
template <typename Visit>
void ForEachBorrowed(LaunchOptions& options, const Visit& visit) {
  for (Stdio* stream : {&options.stdin_spec, &options.stdout_spec, &options.stderr_spec}) {
    if (stream->kind == Stdio::Kind::kFd) visit(stream->fd);
  }
  for (InheritedFd& inherited : options.inherited) visit(inherited.fd);
}

// Duplicates of what the options borrow, which they then name. births_linux.cc, births_windows.cc: there what is inherited
// keeps its value, so that it stays borrowed. Errors: that of a descriptor that cannot be duplicated.
absl::StatusOr<std::vector<UniqueFd>> OwnBorrowed(LaunchOptions& options);

// What `launch` borrows may go afterwards. Errors: that of a descriptor that cannot be duplicated.
absl::StatusOr<std::unique_ptr<Births>> DirectBirths(const Context& context, LaunchOptions launch,
                                                     const WorkerSetup& setup);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_EXECUTOR_BIRTHS_H_
