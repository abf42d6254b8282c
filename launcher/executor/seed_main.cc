#include "launcher/executor/seed_main.h"

#include <signal.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "bootstrap/target.h"
#include "ipc/wait.h"
#include "launcher/outcome_flatbuffer.h"

namespace brood::internal {
namespace {

struct SeedWorker {
  std::unique_ptr<WorkerProcess> process;
  UniqueFd outcome;
  UniqueFd report;
};

void WriteOutcome(SeedWorker& worker) {
  const std::string bytes = EncodeOutcome(worker.process->Join());
  // What does not fit the memory is told as none: Lost, and not a wait for ever.
  const bool written = pwrite(worker.outcome.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
  const uint32_t size = written ? static_cast<uint32_t>(bytes.size()) : 0;
  // Not the pipe's end: a fork of the executor's process may hold it open. If it fails nobody wants to know any more.
  (void)!write(worker.report.get(), &size, sizeof(size));
}

class Seed {
 public:
  Seed(Connection executor, std::unique_ptr<Births> births)
      : executor_(std::move(executor)), births_(std::move(births)) {}

  void Run() {
    while (true) {
      std::vector<Waitable> objects = {executor_};
      std::vector<uint64_t> ids = {0};
      for (const auto& [id, worker] : workers_) {
        objects.emplace_back(worker.process->sentinel());
        ids.push_back(id);
      }
      const absl::StatusOr<std::vector<size_t>> ready = Wait(objects);
      if (!ready.ok()) return;
      for (const size_t i : *ready) {
        if (i == 0) {
          if (!Answer()) return;
        } else {
          WriteOutcome(workers_.at(ids[i]));
          workers_.erase(ids[i]);
        }
      }
    }
  }

 private:
  bool Answer() {
    absl::StatusOr<SeedRequest> request = executor_.Receive<SeedRequest>();
    if (!request.ok()) return false;
    if (request->kind == SeedRequest::Kind::kStart) return Start(*request);
    const auto at = workers_.find(request->worker);
    if (at == workers_.end()) return true;  // It has ended meanwhile.
    if (request->kind == SeedRequest::Kind::kKill) {
      at->second.process->Kill();
    } else {
      at->second.process->Terminate();
    }
    return true;
  }

  bool Start(SeedRequest& request) {
    SeedReply reply;
    if (request.handles.size() != 4) return false;
    SeedWorker worker = {.process = nullptr, .outcome = std::move(request.handles[2]), .report = std::move(request.handles[3])};
    absl::StatusOr<std::unique_ptr<WorkerProcess>> started =
        births_->Start(std::move(request.handles[0]), std::move(request.handles[1]));
    reply.status = started.status();
    if (started.ok()) {
      worker.process = *std::move(started);
      reply.pid = worker.process->pid();
      workers_.emplace(request.worker, std::move(worker));
    }
    return executor_.Send(reply).ok();
  }

  Connection executor_;
  const std::unique_ptr<Births> births_;
  std::map<uint64_t, SeedWorker> workers_;
};

}  // namespace

void RunPoolSeed(Connection executor, uint64_t plan, std::vector<UniqueFd> borrowed, std::vector<UniqueFd> handles) {
  // An executor that does not want an outcome any more must not end the others' workers. Those are born with the default.
  signal(SIGPIPE, SIG_IGN);
  // A copy: what `plan` points to is the executor's memory as it was, with descriptors that are not ours to close.
  SeedPlan own = *reinterpret_cast<const SeedPlan*>(plan);  // NOLINT(performance-no-int-to-ptr)
  size_t next = 0;
  ForEachBorrowed(own.launch, [&](int& fd) { fd = borrowed.at(next++).get(); });
  own.setup.handles.clear();
  for (UniqueFd& handle : handles) own.setup.handles.push_back(std::make_shared<const UniqueFd>(std::move(handle)));
  absl::StatusOr<std::unique_ptr<Births>> births = DirectBirths(own.context, own.launch, own.setup);
  if (births.ok()) Seed(std::move(executor), *std::move(births)).Run();
}

}  // namespace brood::internal

BROOD_TARGET_AS("brood.executor_seed", brood::internal::RunPoolSeed);
