#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/fd_message_child.h"
#include "base/status.h"
#include "bootstrap/log.h"
#include "bootstrap/registry.h"
#include "forkserver/keeper_child.h"
#include "forkserver/request.h"
#include "forkserver/server.h"
#include "ipc/deadline.h"
#include "launcher/keeper_report.h"
#include "launcher/report_outcome.h"
#include "launcher/served_call.h"
#include "launcher/served_charge.h"
#include "launcher/server.h"
#include "launcher/slot_request.h"

namespace brood {
namespace {

using child::KeeperNote;
using child::OrderTag;

constexpr int kContinueAfterMs = 100;
constexpr uint32_t kAhead = 2;  // Keepers that are for one call each, so that not each call has to ask.

[[maybe_unused]] const bool g_serves = internal::ServeLaunches();

}  // namespace

Server::Server(ContextOptions options, std::shared_ptr<internal::ForkServer> server, std::shared_ptr<const CompiledPolicy> policy,
               Isolation isolation)
    : options_(std::move(options)), server_(std::move(server)), policy_(std::move(policy)), isolation_(isolation) {}

absl::StatusOr<Server> Server::Start(const ContextOptions& options, std::shared_ptr<const CompiledPolicy> policy, Isolation isolation) {
  Server server(options,
                internal::MakeForkServer({.executable = options.executable,
                                          .preload = options.preload,
                                          .freeze = options.freeze,
                                          .templates = options.templates}),
                std::move(policy), isolation);
  if (server.policy_ != nullptr) {
    BROOD_ASSIGN_OR_RETURN(server.slot_, internal::EncodeSlot(*server.policy_, isolation));
  }
  BROOD_RETURN_IF_ERROR(server.server_->Start(server.Patience()));
  return server;
}

absl::StatusOr<Server> Server::StartTemplate(Template added) const {
  ContextOptions options = options_;
  options.templates.push_back(added);
  Server server(std::move(options), internal::MakeForkServer(server_, std::move(added)), policy_, isolation_);
  server.slot_ = slot_;
  BROOD_RETURN_IF_ERROR(server.server_->Start(server.Patience()));
  return server;
}

internal::ForkServerPatience Server::Patience() const {
  return {.start = options_.preload_timeout,
          .request = options_.server_timeout,
          .children = options_.rotate_after_children,
          .age = options_.rotate_after};
}

// Its keepers that have a call live until that has ended, and so does it.
void Server::Rotate() {
  instance_.reset();
  asked_ = 0;
  std::erase_if(keepers_, [](const Keeper& keeper) { return keeper.call == 0; });
}

size_t Server::pending() const {
  return static_cast<size_t>(std::count_if(keepers_.begin(), keepers_.end(), [](const Keeper& keeper) { return keeper.call != 0; }));
}

absl::Status Server::AskForKeepers(uint32_t count, const internal::ForkServerPatience& patience) {
  const std::shared_ptr<internal::ForkServer::Instance> before = instance_;
  BROOD_ASSIGN_OR_RETURN(instance_, server_->Send({}, {}, patience,
                                                  internal::LeaseTag{.count = count, .in_slots = !slot_.empty()}.Encode(), slot_));
  asked_ = instance_ == before ? asked_ + count : count;
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> Server::LeaseKeeper() {
  while (asked_ > 0) {
    --asked_;
    absl::StatusOr<UniqueFd> keeper = AwaitKeeper();
    if (keeper.ok()) return keeper;  // What was in the way then may not be now.
  }
  BROOD_RETURN_IF_ERROR(AskForKeepers(isolation_ == Isolation::kFresh ? kAhead : 1, Patience()));
  --asked_;
  return AwaitKeeper();
}

absl::StatusOr<UniqueFd> Server::AwaitKeeper() {
  pollfd polled = {instance_->socket.get(), POLLIN, 0};
  const internal::Deadline deadline(options_.server_timeout);
  int ready;
  while ((ready = ppoll(&polled, 1, deadline.ToTimespec().get(), nullptr)) < 0 && errno == EINTR) {
  }
  if (ready == 0) {
    server_->Kill(instance_);
    return absl::DeadlineExceededError("the forkserver has given no keeper in time, and was killed; see server_timeout");
  }
  internal::ServerNote note;
  const iovec part = {&note, sizeof(note)};
  int fd = -1;
  const child::FdMessage message = child::ReceiveWithFds(instance_->socket.get(), &part, 1, &fd, 1, 0);
  UniqueFd socket(fd);
  if (message.bytes == static_cast<ssize_t>(sizeof(note)) && socket.valid()) return socket;
  if (message.bytes == static_cast<ssize_t>(sizeof(note)) && note.kind == internal::ServerNote::Kind::kFailed) {
    return absl::FailedPreconditionError(absl::StrCat("forkserver: ", std::string_view(note.text, strnlen(note.text, sizeof(note.text)))));
  }
  if (message.fds_lost) return absl::ResourceExhaustedError("no room for the descriptor of a keeper; see the limit of open files");
  return absl::UnavailableError("the forkserver has ended");
}

absl::StatusOr<Server::Keeper*> Server::Idle() {
  // The last one: its memory is in the caches.
  const auto idle = std::find_if(keepers_.rbegin(), keepers_.rend(), [](const Keeper& keeper) { return keeper.call == 0; });
  if (idle != keepers_.rend()) return &*idle;
  BROOD_ASSIGN_OR_RETURN(UniqueFd socket, LeaseKeeper());
  keepers_.push_back({.socket = std::move(socket), .instance = instance_});
  return &keepers_.back();
}

absl::StatusOr<uint64_t> Server::Send(std::string_view target, std::vector<TypedValue> arguments) {
  for (const TypedValue& argument : arguments) {
    if (!argument.handles.empty()) return absl::InvalidArgumentError("call: an argument carries a descriptor; use a Context");
  }
  // Of this program, as far as can be told here.
  if (options_.executable.empty()) BROOD_RETURN_IF_ERROR(internal::FindTarget(target).status());
  PreparationData preparation;
  preparation.start_method = StartMethod::kForkServer;
  preparation.log_level = options_.log_level != 0 ? options_.log_level : static_cast<int>(CurrentLogLevel());
  preparation.parent_pid = getpid();
  preparation.plugin_path = options_.plugin_path;
  ProcessData process;
  process.target = std::string(target);
  process.arguments = std::move(arguments);
  const std::string bytes = internal::EncodeCall(preparation, process);
  const uint64_t most = std::min(options_.max_argument_bytes, internal::kMaxRequestBytes);
  if (bytes.size() > most) {
    return absl::InvalidArgumentError(absl::StrCat("call: the arguments take ", bytes.size(), " bytes, ", most, " are allowed"));
  }
  const bool counted = instance_ != nullptr && server_->MayBear(instance_, Patience());
  if (!counted) Rotate();
  for (;;) {
    BROOD_ASSIGN_OR_RETURN(Keeper* const keeper, Idle());
    if (!counted) server_->MayBear(instance_, Patience());
    const absl::Status sent = internal::SendRequest(keeper->socket.get(), bytes, {},
                                                    {.tag = OrderTag{}.Encode(), .inline_bytes = internal::kRecordInlineBytes});
    if (sent.ok()) return keeper->call = ++last_;
    // It was killed while it had nothing to do.
    keepers_.erase(keepers_.begin() + (keeper - keepers_.data()));
    if (!absl::IsUnavailable(sent)) return sent;
  }
}

absl::StatusOr<std::pair<uint64_t, Outcome>> Server::Next() {
  std::vector<pollfd> polls;
  for (const Keeper& keeper : keepers_) polls.push_back({keeper.call != 0 ? keeper.socket.get() : -1, POLLIN, 0});
  if (pending() == 0) return absl::FailedPreconditionError("no call is under way");
  for (;;) {
    const int ready = poll(polls.data(), polls.size(), kContinueAfterMs);
    if (ready < 0 && errno != EINTR) return ErrnoStatus(errno, "poll", "the keepers");
    // A child may have stopped its keeper.
    for (const Keeper& keeper : keepers_) {
      if (ready != 0 || keeper.call == 0) continue;
      (void)internal::SendRequest(keeper.instance->socket.get(), "", {}, {.patience = absl::ZeroDuration(), .tag = internal::kContinueTag});
    }
    for (size_t i = 0; ready > 0 && i < polls.size(); ++i) {
      if (polls[i].revents == 0) continue;
      const uint64_t call = std::exchange(keepers_[i].call, 0);
      KeeperNote note;
      const ssize_t n = recv(polls[i].fd, &note, sizeof(note), 0);
      const bool told = n == static_cast<ssize_t>(sizeof(note));
      if (!told || note.retires != 0 || keepers_[i].instance != instance_) keepers_.erase(keepers_.begin() + static_cast<std::ptrdiff_t>(i));
      // Ahead of the next call, which asks again, and says why, should that fail. This one has its end, and waits for no other server.
      if (isolation_ == Isolation::kFresh && asked_ == 0 && instance_ != nullptr) {
        internal::ForkServerPatience patience = Patience();
        patience.ended = internal::ForkServerPatience::Ended::kRefuse;
        AskForKeepers(kAhead, patience).IgnoreError();
      }
      if (told) return std::make_pair(call, OutcomeOf(internal::ReportOf(note), policy_.get()));
      Outcome lost;
      lost.ending = Lost{"its keeper was killed, and the child with it"};
      return std::make_pair(call, std::move(lost));
    }
  }
}

absl::StatusOr<Outcome> Server::Call(std::string_view target, std::vector<TypedValue> arguments) {
  if (pending() > 0) return absl::FailedPreconditionError("calls are under way; take their ends with Next first");
  BROOD_RETURN_IF_ERROR(Send(target, std::move(arguments)).status());
  BROOD_ASSIGN_OR_RETURN(auto ended, Next());
  return std::move(ended.second);
}

}  // namespace brood
