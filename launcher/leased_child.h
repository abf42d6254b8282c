// A program that a keeper bears which this process has leased (forkserver/client.h): what the supervisor of a forkserver does for
// others (served_charge.h) is done here, by whoever waits.
//
//   process --order--> keeper --fork--> child
//   process <--end---- keeper <-'
//
// See ChildLink for which thread may call what.
#ifndef BROOD_LAUNCHER_LEASED_CHILD_H_
#define BROOD_LAUNCHER_LEASED_CHILD_H_

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/setup_message.h"
#include "base/unique_fd.h"
#include "forkserver/client.h"
#include "forkserver/output_child.h"
#include "launcher/guarded_state.h"
#include "launcher/launch_record.h"

namespace brood::internal {

class LeasedChild : public ChildLink {
 public:
  explicit LeasedChild(std::unique_ptr<ForkServer::Lease> lease) : lease_(std::move(lease)) {}

  // If it lives its keeper ends too, and then its sandbox: they are told by the end of the socket, of which forks of this process may
  // hold copies. shutdown(2)
  ~LeasedChild() override;

  // Sends its order. Errors: those of SendRequest; nothing has begun then.
  absl::Status Order(std::string_view bytes, const std::vector<int>& fds, const child::OutputOrder& output);

  void TakeSetup(UniqueFd setup) override { setup_ = std::move(setup); }
  void SendWord() override;
  void AwaitStart(int sentinel) override;
  bool started() const override { return ready_; }
  int pid() override;
  absl::Status Signal(int signal, bool group) override;
  absl::Status Kill() override;
  void Continue() const override;
  bool ReadEnd(int sentinel, GuardianReport* report) override;  // Gives the keeper back.

 private:
  void ReadSetup();
  bool ReadNote(int flags);
  absl::Status Send(uint64_t tag) const;

  std::unique_ptr<ForkServer::Lease> lease_;  // Null: it has ended.
  UniqueFd setup_;
  SetupMessage message_;
  EndCause cause_ = EndCause::kNone;
  int pid_ = 0;
  bool has_order_ = false;
  bool execs_ = false;
  bool ready_ = false;
};

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_LEASED_CHILD_H_
