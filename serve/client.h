// One connection to `brood serve`, and its child.
//
//   asking ──kLaunch──▶ running ──its end──▶ told ──▶ (removed)
//      │                   └──the client's end──▶ ending ──its end──▶ (removed)
//      └──deadline, garbage, refusal──▶ (removed)
#ifndef BROOD_SERVE_CLIENT_H_
#define BROOD_SERVE_CLIENT_H_

#include <sys/socket.h>

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "forkserver/event_loop.h"
#include "forkserver/request.h"
#include "launcher/process.h"
#include "launcher/serve_protocol.h"
#include "sandbox/plan.h"
#include "serve/quota.h"

namespace brood {

class ServeServer;

namespace internal {

// What a process gets at most, and who pays for it.
struct ServeCeiling {
  std::shared_ptr<const CompiledPolicy> policy;
  Payer payer;
};

class ServeClient {
 public:
  ServeClient(ServeServer& server, uint64_t number, UniqueFd connection, const ucred& peer);
  ~ServeClient();

  // Watches the connection. Errors: those of EventLoop::Watch.
  absl::Status Begin();

  // Says why, and ends the connection.
  void Refuse(const absl::Status& why);

  // The outcome of a child that ServeServer::JoinElsewhere took.
  void OnJoined(const Outcome& outcome);

  // The server ends: its child has to.
  void Stop();

  // Whether it is one of its child's, see client_child.h; and the policy of that.
  bool HasProcess(pid_t pid);
  const std::shared_ptr<const CompiledPolicy>& policy() const { return policy_; }
  const Payer& payer() const { return payer_; }

  // Whether one of those was above its child when that began, where the supervisor that was above all has ended.
  bool IsBelow(const std::vector<pid_t>& pids) const;

  // It has a child that is not known to run, so that its number may not be known either.
  bool starting() const { return process_.has_value() && !started_; }

  // It has a child that has not ended.
  bool busy() const { return state_ == State::kRunning || state_ == State::kEnding; }

 private:
  enum class State { kAsking, kRunning, kEnding, kTold };

  EventLoop& loop();
  bool PeerLives();
  absl::StatusOr<ServeCeiling> Ceiling();
  absl::Status CheckHeldUp() const;
  void OnConnection();
  void Answer(Request request);
  void PutOff(Request request, int64_t ns);
  absl::Status OnRequest(Request& request, const absl::StatusOr<ServeCeiling>& most);
  absl::Status Launch(Request& request, const ServeCeiling& most);
  absl::Status AwaitForkserver(const std::string& template_path, const Request& request);
  void CloseAll(Request request);
  absl::Status Watch();
  void OnCommand();
  void NoteStart();
  void NoteAbove();
  void OnNews();
  void OnEnd();
  void OnGone();
  void Kill();
  void Tell(const Outcome& outcome);
  bool Send(ServeTag::Kind kind, std::string_view bytes);
  void SendNote(bool started);
  absl::Duration SinceRequest() const;
  void SetDeadline();
  void Close(UniqueFd& fd);
  void CloseSocket(UniqueFd& socket);
  void Remove();

  ServeServer& server_;
  const uint64_t number_;
  const ucred peer_;
  State state_ = State::kAsking;
  UniqueFd connection_;
  UniqueFd control_;
  UniqueFd peer_process_;  // A fork of the client may hold its end of the connection.
  int news_ = -1;          // Watched; the process's.
  int sentinel_ = -1;      // Likewise.
  bool started_ = false;
  int64_t asked_ns_ = 0;  // When the request came.
  std::optional<Process> process_;
  std::shared_ptr<const CompiledPolicy> policy_;  // Of that.
  Payer payer_;                                   // Likewise.
  std::vector<pid_t> above_;                      // The child, and what was above it, to the supervisor; where that may matter.
  uint64_t forkserver_ = 0;                       // That has borne it: Instance::number; 0: none.
  std::optional<EventLoop::Timer> deadline_;
  bool forkserver_ended_ = false;          // What was asked for last has to wait for another one,
  int64_t forkserver_awaited_ns_ = 0;      // since this moment.
  std::optional<EventLoop::Timer> again_;  // When what was asked for can perhaps be answered.
  std::optional<Request> asked_;           // Meanwhile.
};

}  // namespace internal
}  // namespace brood

#endif  // BROOD_SERVE_CLIENT_H_
