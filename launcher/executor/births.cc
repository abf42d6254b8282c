#include "launcher/executor/births.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "launcher/executor/worker_main.h"
#include "launcher/process.h"

namespace brood::internal {
namespace {

class DirectWorker : public WorkerProcess {
 public:
  explicit DirectWorker(Process process) : process_(std::move(process)) {}
  pid_t pid() const override { return process_.pid(); }
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

  absl::StatusOr<std::unique_ptr<WorkerProcess>> Start(UniqueFd socket, UniqueFd journal) override {
    std::vector<UniqueFd> handles;
    for (const auto& handle : setup_.handles) handles.push_back(Duplicate(handle->get()));
    BROOD_ASSIGN_OR_RETURN(Process process, context_.Start(launch_, RunPoolWorker, socket, journal,
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
  std::vector<UniqueFd> borrowed;
  absl::Status error;
  ForEachBorrowed(launch, [&](int& fd) {
    borrowed.push_back(Duplicate(fd));
    if (!borrowed.back().valid() && error.ok()) error = ErrnoStatus(errno, "dup", absl::StrCat("descriptor ", fd));
    fd = borrowed.back().get();
  });
  BROOD_RETURN_IF_ERROR(error);
  return std::make_unique<Direct>(context, std::move(launch), std::move(borrowed), setup);
}

}  // namespace brood::internal
