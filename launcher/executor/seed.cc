#include "launcher/executor/seed.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/connection.h"
#include "ipc/pipe.h"
#include "launcher/executor/seed_main.h"
#include "launcher/outcome_flatbuffer.h"
#include "launcher/process.h"

namespace brood::internal {
namespace {

// Long enough for the seed to end its workers.
constexpr absl::Duration kSeedPatience = absl::Seconds(20);

// The connection, which the workers use when they are to be ended.
struct SeedLine {
  std::mutex mutex;
  Connection connection;

  absl::Status Send(const SeedRequest& request) {
    const std::lock_guard<std::mutex> lock(mutex);
    return connection.Send(request);
  }
};

class SeededWorker : public WorkerProcess {
 public:
  SeededWorker(std::shared_ptr<SeedLine> line, uint64_t id, UniqueFd outcome, UniqueFd report, const SeedReply& reply)
      : line_(std::move(line)),
        id_(id),
        outcome_(std::move(outcome)),
        report_(std::move(report)),
        pid_(static_cast<pid_t>(reply.pid)) {}
  ~SeededWorker() override {
    if (report_.valid()) Kill();
  }
  pid_t pid() const override { return pid_; }
  int sentinel() const override { return report_.get(); }
  // A seed that has gone took the worker with it, and the pipe says so.
  void Terminate() override {
    (void)line_->Send({.kind = SeedRequest::Kind::kTerminate, .worker = id_, .handles = {}});
  }
  void Kill() override { (void)line_->Send({.kind = SeedRequest::Kind::kKill, .worker = id_, .handles = {}}); }

  Outcome Join() override {
    uint32_t size = 0;
    std::string bytes;
    if (ReadReport(size) && size <= kMaxOutcomeBytes) {
      bytes.resize(size);
      if (pread(outcome_.get(), bytes.data(), size, 0) != static_cast<ssize_t>(size)) bytes.clear();
    }
    report_.reset();
    outcome_.reset();
    absl::StatusOr<Outcome> outcome = DecodeOutcome(bytes);
    if (outcome.ok()) return *std::move(outcome);
    Outcome lost;
    lost.ending = Lost{bytes.empty() ? "the executor's seed was killed" : std::string(outcome.status().message())};
    return lost;
  }

 private:
  // False at the end. So few bytes come at once. pipe(7), PIPE_BUF
  bool ReadReport(uint32_t& size) {
    ssize_t n;
    do {
      n = read(report_.get(), &size, sizeof(size));
    } while (n < 0 && errno == EINTR);
    return n == sizeof(size);
  }

  const std::shared_ptr<SeedLine> line_;
  const uint64_t id_;
  UniqueFd outcome_;
  UniqueFd report_;
  const pid_t pid_;
};

class Seeded : public Births {
 public:
  Seeded(Process seed, std::shared_ptr<SeedLine> line) : seed_(std::move(seed)), line_(std::move(line)) {}

  absl::StatusOr<std::unique_ptr<WorkerProcess>> Start(UniqueFd socket, UniqueFd journal) override {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
    UniqueFd report(ends[0]);
    UniqueFd its_report(ends[1]);
    UniqueFd outcome(memfd_create("brood-outcome", MFD_CLOEXEC));
    if (!outcome.valid()) return ErrnoStatus(errno, "memfd_create", "for the worker's outcome");
    SeedRequest request;
    request.worker = ++last_;
    request.handles.push_back(std::move(socket));
    request.handles.push_back(std::move(journal));
    request.handles.push_back(Duplicate(outcome.get()));
    if (!request.handles.back().valid()) return ErrnoStatus(errno, "dup", "the worker's outcome");
    request.handles.push_back(std::move(its_report));
    const absl::Status sent = line_->Send(request);
    request.handles.clear();
    // One birth at a time, and nothing else is answered.
    absl::StatusOr<SeedReply> reply = sent.ok() ? line_->connection.Receive<SeedReply>() : sent;
    if (!reply.ok())
      return absl::AbortedError(absl::StrCat("the executor's seed has ended: ", reply.status().message()));
    if (!reply->status.ok()) return reply->status;
    return std::make_unique<SeededWorker>(line_, request.worker, std::move(outcome), std::move(report), *reply);
  }

  void Stop() override {
    {
      const std::lock_guard<std::mutex> lock(line_->mutex);
      line_->connection.Close();
    }
    if (!seed_.Join(kSeedPatience).ok()) (void)seed_.Kill();
    (void)seed_.Join();
  }

 private:
  Process seed_;
  const std::shared_ptr<SeedLine> line_;
  uint64_t last_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Births>> SeedBirths(const Context& context, const LaunchOptions& launch,
                                                   const WorkerSetup& setup) {
  SeedPlan plan = {context, launch, setup};
  std::vector<UniqueFd> borrowed;
  ForEachBorrowed(plan.launch, [&](int& fd) { borrowed.push_back(Duplicate(fd)); });
  std::vector<UniqueFd> handles;
  for (const auto& handle : setup.handles) handles.push_back(Duplicate(handle->get()));
  BROOD_ASSIGN_OR_RETURN(auto ends, Pipe());
  LaunchOptions options;
  options.name = "ExecutorSeed";
  options.daemon = false;
  BROOD_ASSIGN_OR_RETURN(Process seed, context.Start(options, RunPoolSeed, ends.second,
                                                     reinterpret_cast<uint64_t>(&plan), borrowed, handles));
  auto line = std::make_shared<SeedLine>();
  line->connection = std::move(ends.first);
  return std::make_unique<Seeded>(std::move(seed), std::move(line));
}

}  // namespace brood::internal
