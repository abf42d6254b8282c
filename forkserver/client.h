// The client's side: servers of this process, each started when it is first needed.
//
//   BROOD_ASSIGN_OR_RETURN(const std::shared_ptr<ForkServer> server, FindForkServer(options, fingerprint));
//   BROOD_ASSIGN_OR_RETURN(const auto instance, server->Send(bytes, fds, {.start = absl::Minutes(5)}));
//
// Thread-safe. A fork of the process has servers of its own.
#ifndef BROOD_FORKSERVER_CLIENT_H_
#define BROOD_FORKSERVER_CLIENT_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "forkserver/server_report.h"
#include "forkserver/server_state.h"
#include "serialization/messages.h"

namespace brood::internal {

struct ForkServerOptions {
  std::string executable;  // Empty: the own program.
  std::vector<std::string> preload;
  Freeze freeze = Freeze::kOff;
  std::vector<Template> templates;  // Each made of the one before it.
};

// Of one caller: others that share the server may have more of it.
struct ForkServerPatience {
  absl::Duration start = absl::InfiniteDuration();    // For the start, preload included.
  absl::Duration request = absl::InfiniteDuration();  // For a running server to take a request.
  // One that has borne so many, or is so old, is replaced. 0: any number.
  uint64_t children = 0;
  absl::Duration age = absl::InfiniteDuration();
  // What becomes of a request if none runs, or it has to be replaced.
  enum class Ended {
    kStart,   // One is started for it.
    kRefuse,  // Unavailable: somebody else starts one, so that nobody waits here for a preload.
  };
  Ended ended = Ended::kStart;
};

class ForkServer {
 public:
  // The process that was started last, until another one must be.
  struct Instance {
    const uint64_t number = NextNumber();  // No other of this process has it, nor 0.
    UniqueFd socket;
    // Of the supervisor, also for who wants to see its end when this object is gone.
    std::shared_ptr<const UniqueFd> pidfd;
    pid_t pid = 0;  // True as long as it has not ended.
    const std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
    ServerReport report;
    uint64_t children = 0;  // Guarded by its ForkServer's mutex.
    std::mutex plans_mutex;  // Held while what names a plan by its number is sent.
    std::vector<std::string> plans;
    uint32_t next_plan = 0;
    std::mutex leases_mutex;  // Guards what follows.
    struct IdleKeeper {
      std::string plan;
      UniqueFd socket;
    };
    std::vector<IdleKeeper> idle;  // Leased, and without an order; the one that was used last is the last.
    ~Instance();
  };

  // A keeper that is this process's until it is given back, or dropped, which ends it and its child.
  struct Lease {
    std::shared_ptr<Instance> instance;
    std::string plan;
    UniqueFd socket;
  };

  // `base`: of which this is a template, the last one of `options`.
  explicit ForkServer(ForkServerOptions options, std::shared_ptr<ForkServer> base = nullptr)
      : options_(std::move(options)), base_(std::move(base)) {}

  // Starts the server unless it runs; returns when it has preloaded.
  //
  // Errors: FailedPrecondition (the preload, or the program: which, and why), DeadlineExceeded, those of execve(2).
  absl::Status Start(const ForkServerPatience& patience);

  // As Start; what that took, which may have been long ago.
  absl::StatusOr<ServerReport> Report(const ForkServerPatience& patience);

  // As Start, then sends a request, and gives who has it; a server that has ended in the meantime is started again. Whoever
  // holds the other ends of what is sent sees end of file if the server ends before it has served this.
  //
  // `plan`: of the slot that the child is to be born in. Its number is added to the tag, and kInSlotTag if there is none but kLeaseAfter.
  //
  // Errors: those of Start; DeadlineExceeded (its queue is full and it takes nothing; it is killed then, as by Kill).
  absl::StatusOr<std::shared_ptr<Instance>> Send(std::string_view bytes, const std::vector<int>& fds,
                                                 const ForkServerPatience& patience, uint64_t tag = 0, std::string_view plan = {});

  // Counts a child of a keeper that the caller has leased. False if `instance` has served enough, by `patience`; as Replace then.
  bool MayBear(const std::shared_ptr<Instance>& instance, const ForkServerPatience& patience);

  // A keeper in a slot of `plan` that is leased and idle, if there is one: it takes the order of a child (OrderTag::kReport) from us, and
  // tells us of the end, which is faster by two switches of processes than by the supervisor. The child is counted. Waits for nothing.
  std::unique_ptr<Lease> TakeLease(const ForkServerPatience& patience, std::string_view plan);

  // Of a keeper that is new here, or whose child has ended and who has been heard.
  static void GiveBack(Lease lease);

  // The next start or request has a server that is started then. The children of the old one go on.
  void Replace();

  // As Replace, with what `ready` runs, which has no other user, in its place at once; gives the old one, whose children go on. Both
  // are of the same options. A start that is under way meanwhile has this one, too.
  std::shared_ptr<Instance> TakeOver(ForkServer& ready);

  // The one that has ended is not Running any more.
  void ForgetEnded();

  const ForkServerOptions& options() const { return options_; }

  // How it is at the moment; nothing is started.
  ServerState State();

  // Null: none does.
  std::shared_ptr<Instance> Running();

  // Continues it, should it be stopped. signal(7), SIGCONT
  void Continue(const std::shared_ptr<Instance>& instance) const;

  // As Replace, for one that serves no more: kills it, and with it the children that it is the parent of. What it has not
  // served sees end of file.
  void Kill(const std::shared_ptr<Instance>& instance);

 private:
  static uint64_t NextNumber();
  enum class For { kNothing, kChild };
  absl::StatusOr<std::shared_ptr<Instance>> Get(const ForkServerPatience& patience, For what);
  std::shared_ptr<Instance> Running(const ForkServerPatience& patience, For what);
  absl::StatusOr<std::shared_ptr<Instance>> Bear() const;
  absl::StatusOr<std::shared_ptr<Instance>> BearTemplate(absl::Duration patience) const;
  void Forget(const std::shared_ptr<Instance>& instance);

  const ForkServerOptions options_;
  const std::shared_ptr<ForkServer> base_;
  std::timed_mutex starting_;  // Held while it starts: others wait for the same. Before the other.
  std::mutex mutex_;           // Guards what follows; never for long.
  std::shared_ptr<Instance> running_;
};

// The one for these options and this caller (fingerprint.h); the same one for the same, as long as somebody holds it or it is among the
// 16 that were asked for last.
std::shared_ptr<ForkServer> FindForkServer(const ForkServerOptions& options, std::string_view fingerprint);

// One of its own, with all that it is a template of.
std::shared_ptr<ForkServer> MakeForkServer(const ForkServerOptions& options);

// A template of `base`.
std::shared_ptr<ForkServer> MakeForkServer(std::shared_ptr<ForkServer> base, Template added);

// All of this process.
std::vector<std::shared_ptr<ForkServer>> AllForkServers();

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_CLIENT_H_
