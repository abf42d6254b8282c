// The worker of a RewoundWorker.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <new>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "bootstrap/after_fork.h"
#include "bootstrap/exit.h"
#include "bootstrap/reseed.h"
#include "bootstrap/run_child.h"
#include "bootstrap/target.h"
#include "launcher/jobs/call_watch.h"
#include "launcher/jobs/float_state.h"
#include "launcher/jobs/image.h"
#include "launcher/jobs/job_child.h"
#include "launcher/jobs/kernel_state.h"

namespace brood::internal {
namespace {

// What outlasts a job: shared memory is not rewound.
struct Kept {
  Image image;
  KernelStateFiles files;
  KernelState before;
  KernelState after;
  CallWatch watch;
  FloatState floats;
};

// Only what is on the stack may be used here before and after a rewind, and nothing of what is below: all that was allocated
// before the first one, the callers' objects among it, is gone. True if the job may have changed what the kernel knows.
[[gnu::noinline]] bool RunOne(int socket, Kept& kept) {
  CallWatch& watch = kept.watch;
  std::string job;
  if (!ReadJob(socket, job)) _exit(0);
  kept.floats.Restore();
  SeedRandom(RandomSeed());
  ReseedGenerators();
  std::string reply;
  watch.Begin();
  RunAfterFork();
  try {
    const ExitScope scope;
    reply = RunJob(job, kMaxJobBytes);
  } catch (const ExitRequest& request) {
    const int code = ReportExit(request);
    std::fflush(nullptr);
    _exit(code);
  }
  // What it has printed would be gone. Of the job's own calls too, since what it is written to may be a file of its own.
  std::cout.flush();
  std::fflush(nullptr);
  const bool called = watch.End();
  // If it has called nothing there is nothing that could retire us.
  if (!called) reply += JobReplyBytes(JobReplyKind::kReady, "");
  SendAll(socket, reply);
  return called;
}

[[gnu::noinline]] void Say(int socket, JobReplyKind kind, const char* what) { SendAll(socket, JobReplyBytes(kind, what)); }

// The C library has handlers for signals of its own from its first thread on.
[[gnu::noinline]] void HaveHadAThread() { std::thread([] {}).join(); }

constexpr int kNoted = 3;  // Jobs from which is learned what all write to.

const char* TakeBefore(Kept* kept) {
  kept->image.Rewind();
  if (const char* failed = kept->before.Take(kept->files); failed != nullptr) return failed;
  kept->floats.Take();
  kept->watch.Start();
  HaveHadAThread();
  kept->image.Rewind();
  if (const char* failed = kept->after.Take(kept->files); failed != nullptr) return failed;
  kept->after.UnmapNew(kept->before);
  return kept->before.Take(kept->files);
}

[[noreturn]] void Serve(Kept* kept, int socket) {
  const char* failed = TakeBefore(kept);
  if (failed != nullptr) {
    Say(socket, JobReplyKind::kRetired, failed);
    _exit(0);
  }
  Image& image = kept->image;
  Say(socket, JobReplyKind::kReady, "");
  for (int noted = 0;;) {
    const bool called = RunOne(socket, *kept);
    // Before its memory is taken away under it, which it would die of, and we with it.
    if (called && kept->after.HasOtherThreads(kept->files)) {
      Say(socket, JobReplyKind::kRetired, "threads");
      _exit(0);
    }
    if (!called && noted == kNoted) {
      image.RewindKnown();
      continue;
    }
    if (!called && kept->files.pagemap >= 0) image.NoteWritten(kept->files.pagemap);
    image.Rewind();
    if (called) {
      image.ForgetAdvice();
      kept->watch.Renew();
    } else {
      if (++noted == kNoted) image.SaveHot();
      continue;
    }
    const char* differs = kept->after.Take(kept->files);
    if (differs == nullptr) differs = kept->before.Difference(kept->after);
    if (differs == nullptr) {
      Say(socket, JobReplyKind::kReady, "");
      continue;
    }
    // Large blocks and stacks of threads that the job has left: what knew of them is gone.
    kept->after.UnmapNew(kept->before);
    kept->after.CloseNewCode(kept->before);
    differs = kept->after.Take(kept->files);
    if (differs == nullptr) differs = kept->before.Difference(kept->after);
    if (differs == nullptr) {
      Say(socket, JobReplyKind::kReady, "");
      continue;
    }
    Say(socket, JobReplyKind::kRetired, differs);
    _exit(0);
  }
}

absl::Status Prepare(Kept*& kept) {
  void* const memory = mmap(nullptr, sizeof(Kept), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return ErrnoStatus(errno, "mmap", "for what outlasts a job");
  kept = new (memory) Kept;
  // What a job leaves running, and nobody between waits for, becomes our child, and is seen. prctl(2)
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return ErrnoStatus(errno, "PR_SET_CHILD_SUBREAPER");
  if (const char* failed = kept->files.Open(); failed != nullptr) return ErrnoStatus(errno, "rewound worker: open", failed);
  return kept->image.Find();
}

void RunRewoundWorker(const UniqueFd& socket) {
  Kept* kept = nullptr;
  if (const absl::Status prepared = Prepare(kept); !prepared.ok()) {
    SendAll(socket.get(), JobReplyBytes(JobReplyKind::kRetired, prepared.message()));
    return;
  }
  Serve(kept, socket.get());
}
BROOD_TARGET_AS("brood.rewound_worker", RunRewoundWorker);

}  // namespace
}  // namespace brood::internal
