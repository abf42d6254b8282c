#include "ipc/names.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/bootstrapped.h"
#include "base/fork_generation.h"
#include "base/own_program.h"
#include "base/server_birth_child.h"
#include "base/status.h"
#include "ipc/names_broker.h"
#include "ipc/names_protocol.h"
#include "ipc/socket_io.h"

extern char** environ;

namespace brood {

using internal::Deadline;
using internal::IoResult;
using internal::NamesAnswer;
using internal::NamesOperation;

static_assert(Names::kMaxNameBytes == internal::kMaxNamesBytes);

namespace {

// The broker never waits for anybody, so that only a machine in great need is slower.
constexpr absl::Duration kPatience = absl::Seconds(30);

// What tells this socket from another one that has its number later. socket(7), SO_COOKIE; 0 if it is none.
uint64_t Cookie(int fd) {
  uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

absl::Status CheckName(std::string_view name) {
  if (!name.empty() && name.size() <= Names::kMaxNameBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a name of ", name.size(), " bytes: it must have 1 to ", Names::kMaxNameBytes));
}

std::string Quoted(std::string_view name) { return absl::StrCat("\"", absl::CHexEscape(name), "\""); }

absl::Status BrokerHasEnded() {
  return absl::UnavailableError("the broker of names has ended, and the names with it");
}

absl::Status Failed(int error) {
  if (error == EPIPE || error == ECONNRESET || error == ENOTCONN) return BrokerHasEnded();
  if (error == ETIMEDOUT) return absl::DeadlineExceededError("the broker of names has not answered for 30 s");
  return ErrnoStatus(error, "ask the broker of names");
}

absl::StatusOr<std::pair<UniqueFd, UniqueFd>> PacketPair() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
  return std::pair(UniqueFd(pair[0]), UniqueFd(pair[1]));
}

absl::Status StartBroker(int socket) {
  BROOD_ASSIGN_OR_RETURN(const UniqueFd executable, OpenOwnProgram("start the program by its own path"));
  const std::string number = absl::StrCat(child::kServerSocket);
  const char* const argv[] = {program_invocation_name, internal::kNamesFlag, number.c_str(), nullptr};
  child::ServerBirth birth;
  birth.executable = executable.get();
  birth.socket = socket;
  birth.argv = argv;
  birth.envp = environ;
  child::BearServer(&birth);
  const UniqueFd pidfd(birth.pidfd);
  if (birth.step == nullptr) return absl::OkStatus();
  return ErrnoStatus(birth.error, absl::StrCat("start the broker of names: ", birth.step), program_invocation_name);
}

}  // namespace

struct Names::Channel {
  explicit Channel(UniqueFd fd) : socket(std::move(fd)), cookie(Cookie(socket.get())) {}
  // In a forked child the number may belong to somebody else by now.
  ~Channel() {
    if (!IsMine()) socket.release();
  }
  bool IsMine() const { return generation == ForkGeneration() || (cookie != 0 && Cookie(socket.get()) == cookie); }

  // Asks, and gives the answer's handle, if it has one. `memory` is borrowed.
  absl::StatusOr<UniqueFd> Ask(NamesOperation operation, std::string_view name = {}, int memory = -1) const {
    if (!IsMine()) {
      return absl::FailedPreconditionError(
          "these names were created before the fork and their channel is closed in this process; pass the object to the "
          "child as an argument");
    }
    const Deadline deadline(kPatience);
    BROOD_ASSIGN_OR_RETURN(auto answer_ends, PacketPair());
    auto& [mine, theirs] = answer_ends;
    const iovec pieces[] = {{.iov_base = &operation, .iov_len = sizeof(operation)},
                            {.iov_base = const_cast<char*>(name.data()), .iov_len = name.size()}};
    std::vector<int> handles = {theirs.get()};
    if (memory >= 0) handles.push_back(memory);
    const IoResult sent = internal::SendSome(socket.get(), pieces, handles, deadline);
    if (sent.error != 0) return Failed(sent.error);
    theirs.reset();  // So that the broker's end is seen.

    NamesAnswer answer = {};
    const iovec room[] = {{.iov_base = &answer, .iov_len = sizeof(answer)}};
    std::vector<UniqueFd> received;
    bool lost = false;
    const IoResult result = internal::ReceiveSome(mine.get(), room, received, lost, deadline);
    if (result.error != 0) return Failed(result.error);
    if (result.bytes == 0) return BrokerHasEnded();
    if (lost) return absl::ResourceExhaustedError("ask the broker of names: no descriptor is free; see the limit of open files");
    switch (answer) {
      case NamesAnswer::kOk:
        return received.empty() ? UniqueFd() : std::move(received[0]);
      case NamesAnswer::kExists:
        return absl::AlreadyExistsError(absl::StrCat("create memory ", Quoted(name), ": the name is taken"));
      case NamesAnswer::kNotFound:
        return absl::NotFoundError(absl::StrCat("shared memory ", Quoted(name), ": there is no such name"));
      case NamesAnswer::kFull:
        return absl::ResourceExhaustedError(
            operation == NamesOperation::kCreate
                ? absl::StrCat("create memory ", Quoted(name), ": the broker has no room for another name; unlink one")
                : "the broker of names has no room for another handle, or the user too many descriptors under way");
    }
    return absl::DataLossError(absl::StrCat("the broker of names gave answer ", static_cast<uint32_t>(answer)));
  }

  const uint64_t generation = ForkGeneration();
  UniqueFd socket;
  const uint64_t cookie;
};

absl::StatusOr<Names> Names::Create() {
  if (!internal::g_bootstrapped) {
    return absl::FailedPreconditionError(
        "create names: this program has not finished its own start; call brood::Bootstrap(argc, argv) first in main");
  }
  BROOD_ASSIGN_OR_RETURN(auto ends, PacketPair());
  BROOD_RETURN_IF_ERROR(StartBroker(ends.second.get()));
  ends.second.reset();
  const Channel first(std::move(ends.first));
  // It answers: an executable that did not become a broker is seen here.
  absl::StatusOr<UniqueFd> channel = first.Ask(NamesOperation::kShare);
  if (!channel.ok()) return Annotate(channel.status(), "start the broker of names");
  return FromDescriptor(*std::move(channel));
}

absl::StatusOr<SharedMemory> Names::CreateMemory(std::string_view name, size_t size) const {
  BROOD_RETURN_IF_ERROR(CheckName(name));
  if (channel_ == nullptr) return internal::NoRegion("handle of names");
  BROOD_ASSIGN_OR_RETURN(SharedMemory memory, SharedMemory::Create(size));
  BROOD_ASSIGN_OR_RETURN(const UniqueFd fd, memory.Descriptor());
  BROOD_RETURN_IF_ERROR(channel_->Ask(NamesOperation::kCreate, name, fd.get()).status());
  return memory;
}

absl::StatusOr<SharedMemory> Names::OpenMemory(std::string_view name) const {
  BROOD_RETURN_IF_ERROR(CheckName(name));
  if (channel_ == nullptr) return internal::NoRegion("handle of names");
  BROOD_ASSIGN_OR_RETURN(UniqueFd fd, channel_->Ask(NamesOperation::kOpen, name));
  return SharedMemory::FromDescriptor(std::move(fd));
}

absl::Status Names::Unlink(std::string_view name) const {
  BROOD_RETURN_IF_ERROR(CheckName(name));
  if (channel_ == nullptr) return internal::NoRegion("handle of names");
  return channel_->Ask(NamesOperation::kUnlink, name).status();
}

absl::StatusOr<UniqueFd> Names::Descriptor() const {
  if (channel_ == nullptr) return internal::NoRegion("handle of names");
  BROOD_ASSIGN_OR_RETURN(UniqueFd fd, channel_->Ask(NamesOperation::kShare));
  return fd;
}

absl::StatusOr<Names> Names::FromDescriptor(UniqueFd fd) {
  int domain = -1, type = -1;
  socklen_t size = sizeof(int);
  if (getsockopt(fd.get(), SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX ||
      getsockopt(fd.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) {
    return absl::InvalidArgumentError(absl::StrCat("descriptor ", fd.get(), " is no channel to a broker of names"));
  }
  if (fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0) return ErrnoStatus(errno, "make close-on-exec");
  return Names(std::make_shared<const Channel>(std::move(fd)));
}

}  // namespace brood
