#include "launcher/executor/births.h"

#include <utility>

#include "base/status.h"
#include "launcher/executor/worker_main.h"
#include "launcher/process.h"

namespace brood::internal {
namespace {

class DirectWorker : public WorkerProcess {
 public:
  explicit DirectWorker(Process process) : process_(std::move(process)) {}
  int pid() const override { return process_.pid(); }
  int sentinel() const override { return process_.sentinel(); }
  // What cannot be signalled has ended, and its sentinel says so.
  void Terminate() override { (void)process_.Terminate(); }
  void Kill() override { (void)process_.Kill(); }
  Outcome Join() override {
    absl::StatusOr<Outcome> outcome = process_.Join();
    if (outcome.ok()) return *std::move(outcome);
    Outcome lost;
    lost.ending = Lost{std::string(outcome.status().message())};
    return lost;
  }

 private:
  Process process_;
};

class Direct : public Births {
 public:
  Direct(const Context& context, LaunchOptions launch, std::vector<UniqueFd> borrowed, const WorkerSetup& setup)
      : context_(context), launch_(std::move(launch)), borrowed_(std::move(borrowed)), setup_(setup) {}

  absl::StatusOr<std::unique_ptr<WorkerProcess>> Start(UniqueFd stream, UniqueFd journal) override {
    std::vector<UniqueFd> handles;
    for (const auto& handle : setup_.handles) handles.push_back(Duplicate(handle->get()));
    BROOD_ASSIGN_OR_RETURN(Process process, context_.Start(launch_, RunPoolWorker, stream, journal,
                                                           setup_.initializer.name, setup_.initializer.signature,
                                                           setup_.arguments, handles, setup_.max_result_bytes));
    return std::make_unique<DirectWorker>(std::move(process));
  }

 private:
  const Context context_;
  const LaunchOptions launch_;
  const std::vector<UniqueFd> borrowed_;  // Whose numbers are in it.
  const WorkerSetup setup_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Births>> DirectBirths(const Context& context, LaunchOptions launch,
                                                     const WorkerSetup& setup) {
  // Workers are born long after the caller has closed what it lent, when the numbers may stand for other files.
  BROOD_ASSIGN_OR_RETURN(std::vector<UniqueFd> borrowed, OwnBorrowed(launch));
  return std::make_unique<Direct>(context, std::move(launch), std::move(borrowed), setup);
}

}  // namespace brood::internal
