#include "forkserver/server.h"

#include <poll.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/child_safe.h"
#include "base/fork_generation.h"
#include "base/status.h"
#include "base/thread_count.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/exit.h"
#include "bootstrap/reseed.h"
#include "forkserver/forker.h"
#include "forkserver/keeper_child.h"
#include "forkserver/near_state.h"
#include "forkserver/owner_watch.h"
#include "forkserver/preload.h"
#include "forkserver/preload_traces.h"
#include "forkserver/settle.h"
#include "forkserver/status_text.h"
#include "forkserver/template.h"
#include "forkserver/warm.h"
#include "serialization/messages.h"

namespace brood::internal {
namespace {

constexpr rlim_t kStackAtLeast = rlim_t{1} << 20;

ForkHandler g_handler;

struct {
  rlimit open_files, stack;
} g_limits_at_birth;

// Of this process alone, and of preload memory: what a fork has to copy, or to share.
uint64_t PreloadedBytes() {
  char text[4096];
  if (child::ReadFile(AT_FDCWD, "/proc/self/status", text, sizeof(text)) <= 0) return 0;
  return (child::NumberAfter(text, "RssAnon:", 0) + child::NumberAfter(text, "RssShmem:", 0)) << 10;
}

Birth g_own_birth;  // What a child has of the server, whatever a preload has done to that.

class Server {
 public:
  // `request` was the first one on `socket`, the supervisor's.
  Server(int socket, Request request) : socket_(socket), first_(std::move(request)) {}

  [[noreturn]] void Run() {
    // Signals for the caller's group, such as the terminal's, are not for us; its session remains ours, and that of the
    // children. A stopped server would stop its client.
    setpgid(0, 0);
    RaiseLimits(first_.tag);
    Serve();
  }

  // In a fork of a server, which has done what is above.
  [[noreturn]] void Serve() {
    prctl(PR_SET_NAME, "brood-server", 0, 0, 0);
    const absl::Status started = Start();
    if (!started.ok()) {
      Note(ServerNote::Kind::kFailed, started.message());
      _exit(1);
    }
    Note(ServerNote::Kind::kReady, settled_, absl::FromChrono(std::chrono::steady_clock::now() - began_));
    SetSmallMemoryAside();
    WarmAndRun(house_, socket_);
  }

 private:
  // What the client may open today says nothing about what it sends tomorrow, and children begin below our own stack. A child
  // gets the client's limits, or those that we were born with.
  static void RaiseLimits(uint64_t tag) {
    getrlimit(RLIMIT_NOFILE, &g_limits_at_birth.open_files);
    rlim_t& open_files = g_limits_at_birth.open_files.rlim_cur;
    open_files = std::min<rlim_t>(ServerTag::Decode(tag).open_files, g_limits_at_birth.open_files.rlim_max);
    getrlimit(RLIMIT_STACK, &g_limits_at_birth.stack);
    rlimit limit = g_limits_at_birth.open_files;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    limit = g_limits_at_birth.stack;
    limit.rlim_cur = std::min(std::max(limit.rlim_cur, kStackAtLeast), limit.rlim_max);
    setrlimit(RLIMIT_STACK, &limit);
  }

  void Note(ServerNote::Kind kind, std::string_view text, absl::Duration time = absl::ZeroDuration(), uint64_t bytes = 0) const {
    ServerNote note;
    note.kind = kind;
    note.nanoseconds = static_cast<uint64_t>(absl::ToInt64Nanoseconds(time));
    note.bytes = bytes;
    note.SetText(text);
    // Nobody is there to hear if that fails.
    (void)send(socket_, &note, sizeof(note), MSG_NOSIGNAL);
  }

  // Whether it is what it was when we were born.
  bool HasSocket() const {
    struct stat now = {};
    return fstat(socket_, &now) == 0 && now.st_ino == socket_number_;
  }

  absl::Status Start() {
    struct stat socket = {};
    if (fstat(socket_, &socket) == 0) socket_number_ = socket.st_ino;
    if (first_.fds.size() != 1) return absl::DataLossError("the server was not told who its supervisor is");
    const UniqueFd supervisor = std::move(first_.fds[0]);
    BROOD_ASSIGN_OR_RETURN(const PreparationData preparation, DecodePreparationData(first_.bytes));
    if (!preparation.preload.empty()) {
      OwnerWatch watch;
      BROOD_RETURN_IF_ERROR(watch.Start(supervisor.get()));
      LetSignalsIn();
      // What a process of a preload's leaves is seen, too.
      if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return ErrnoStatus(errno, "PR_SET_CHILD_SUBREAPER");
      for (const std::string& name : preparation.preload) {
        const absl::Status preloaded = PreloadOne(name, watch.pid());
        if (preloaded.ok()) continue;
        (void)PreloadTraces::EndProcesses(watch.pid());  // The first error is the one to tell.
        return preloaded;
      }
      prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    }
    BROOD_RETURN_IF_ERROR(CheckThreads());
    FindGenerators();
    MoveStateNear();
    BROOD_RETURN_IF_ERROR(LeaveStreams());
    BROOD_ASSIGN_OR_RETURN(g_own_birth, CaptureBirth());
    Note(ServerNote::Kind::kPreloading, "settle what was preloaded");
    BROOD_ASSIGN_OR_RETURN(settled_, SettlePreload(preparation.freeze));
    BlockSignals();
    ForkGeneration();  // Maps a page, which each child would have to do for itself.
    PrepareToCatchExit();
    // After all that is frozen: we must not write to that.
    house_.run = RunOrder;
    const char* const failed = child::OpenKeeperHouse(&house_);
    if (failed != nullptr) return ErrnoStatus(errno, failed);
    return absl::OkStatus();
  }

  absl::Status PreloadOne(const std::string& name, int watch) const {
    const std::string what = absl::StrCat("preload ", name);
    const uint64_t bytes = PreloadedBytes();
    BROOD_ASSIGN_OR_RETURN(const PreloadTraces traces, PreloadTraces::Take());
    const auto start = std::chrono::steady_clock::now();
    BROOD_RETURN_IF_ERROR(Preload(name, [&](const char* phase) {
      Note(ServerNote::Kind::kPreloading, absl::StrCat(what, ": ", phase));
    }));
    if (!HasSocket()) _exit(kSocketLost);  // Nobody would hear of it otherwise.
    if (access("/proc/self/task", X_OK) != 0) {
      return ErrnoStatus(errno, absl::StrCat(what, ": rights: find"), "/proc/self",
                         "it has changed the root, or what is mounted, so that nothing can be told of the server; do that in the children");
    }
    BROOD_RETURN_IF_ERROR(Annotate(CheckThreads(), absl::StrCat(what, ": threads")));
    BROOD_RETURN_IF_ERROR(Annotate(traces.Remove(watch), what));
    BROOD_RETURN_IF_ERROR(Annotate(FlushStreams(), absl::StrCat(what, ": flush")));
    const auto time = absl::FromChrono(std::chrono::steady_clock::now() - start);
    Note(ServerNote::Kind::kPreloaded, name, time, std::max(PreloadedBytes(), bytes) - bytes);
    return absl::OkStatus();
  }

  // Last of all, and a function of its own, whose page is warmed, too: what else runs here would map more code, which each fork
  // would copy the page tables of.
  [[noreturn, gnu::noinline]] static void WarmAndRun(child::KeeperHouse& house, int socket) {
    if (g_handler.rehearse != nullptr) WarmPagesOf(Rehearse, &house, house.cold);
    child::RunKeeperHouse(house, socket);
  }

  // In a fork. What a keeper would have of a client, a child does as it would for that.
  static void Rehearse(void* arg) {
    const auto& house = *static_cast<const child::KeeperHouse*>(arg);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return;
    if (!SendRequest(pair[0], g_handler.rehearse(), {}, {.inline_bytes = kRecordInlineBytes}).ok()) return;
    child::KeptOrder order;
    const ssize_t size = recv(pair[1], order.request.data, sizeof(order.request.data), 0);
    const int file = child::MakeOrderFile();
    if (size <= 0 || file < 0) return;
    order.request.size = static_cast<size_t>(size);
    order.keeper = getppid();
    void* const written = child::WriteOrder(file, order);
    if (written == nullptr) return;
    // Nobody's call: its child has nothing to run, and no hook of the program's sees it.
    const bool sent = fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0 &&
                      SendRequest(pair[0], "", {}, {.tag = child::OrderTag{.flags = child::OrderTag::kTell}.Encode()}).ok();
    BeginRehearsing();
    if (sent) child::RehearseKeeper(house, pair[1]);
    (void)*reinterpret_cast<const volatile char*>(&WarmAndRun);
    child::SetKeeperHouse(&house);
    OnLastStep(DoneRehearsing);
    child::BeginChild(written);
  }

  // We were born with all signals blocked, and what a preload starts would be, too. A preload is a program's code, and one
  // that a signal ends says so. But those of job control, for a program in the background that uses its terminal, would
  // stop us and with us our client: blocked, they let it write, and make its reads fail. tty_ioctl(4), setpgid(2)
  static void LetSignalsIn() {
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTTOU);
    sigaddset(&blocked, SIGTTIN);
    sigprocmask(SIG_SETMASK, &blocked, nullptr);
  }

  static absl::Status CheckThreads() {
    BROOD_ASSIGN_OR_RETURN(const int threads, ThreadCount());
    if (threads == 1) return absl::OkStatus();
    BROOD_ASSIGN_OR_RETURN(const std::vector<std::string> names, OtherThreads());
    return absl::FailedPreconditionError(
        absl::StrCat("it left ", threads - 1, " thread(s) running: ", absl::StrJoin(names, ", "), "; a lock that one of them ",
                     "holds at a fork would be held for ever in the child; start threads in the children, or join them"));
  }

  // What was printed so far is the user's, and nothing later is: a child must not print it again, and a reader of our
  // streams would wait for their end.
  static absl::Status FlushStreams() {
    const bool flushed = std::fflush(stdout) == 0;
    std::cout.flush();
    std::clog.flush();
    std::fflush(stderr);
    return flushed ? absl::OkStatus() : ErrnoStatus(errno, "flush", "stdout");
  }

  static absl::Status LeaveStreams() {
    BROOD_RETURN_IF_ERROR(Annotate(FlushStreams(), "after the preload"));
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return ErrnoStatus(errno, "open", "/dev/null");
    for (int stream = 0; stream < 3; ++stream) {
      if (dup2(null, stream) < 0) return ErrnoStatus(errno, "dup2");
    }
    if (null > 2) close(null);
    return absl::OkStatus();
  }

  // What a child allocates first it takes from the C library's per-thread cache, if there is something: a page or two that it
  // writes to, side by side, instead of one for each list of free memory and one for each place that is free. mallopt(3),
  // "glibc.malloc.tcache_count"
  static void SetSmallMemoryAside() {
    constexpr size_t kStep = 16, kLargest = 256, kOfEach = 3;
    void* taken[kOfEach][kLargest / kStep];
    for (auto& row : taken) {
      for (size_t i = 0; i < kLargest / kStep; ++i) row[i] = malloc((i + 1) * kStep);
    }
    // What is given back last is given out first: those of one row, which lie side by side.
    for (size_t row = kOfEach; row-- > 0;) {
      for (void* one : taken[row]) free(one);
    }
  }

  // Whatever the preload has done to signals: none ends a server, and a child finds the default actions.
  static void BlockSignals() {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    child::ResetSignalActions();
  }

  static void RunOrder(const child::ChildOrder& order) {
    const std::string_view bytes = order.fd_count == 0 ? BytesInPlace(order.record) : std::string_view();
    if (!bytes.empty() && g_handler.run_in_place != nullptr) g_handler.run_in_place(bytes, order.keeper, order.slot);
    Unpack(order);
  }

  // Not inlined: its frame is not for those that are run in place.
  [[noreturn, gnu::noinline]] static void Unpack(const child::ChildOrder& order) {
    Request request;
    const absl::Status unpacked = UnpackRequest(order.record, order.fds, order.fd_count, request);
    request.sender = order.keeper;
    request.slot = order.slot;
    if (unpacked.ok() && IsTemplate(request.bytes)) RunTemplate(request);
    if (!unpacked.ok()) {
      g_handler.fail(request, unpacked);
      _exit(125);
    }
    g_handler.run(request);
    _exit(125);
  }

  const int socket_;
  ino_t socket_number_ = 0;
  Request first_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::string settled_;
  child::KeeperHouse house_;
};

// The first request says which of the two this process is to be: the supervisor has tagged it.
[[noreturn]] void RunServer(int socket) {
  Request request;
  pollfd polled = {socket, POLLIN, 0};
  while (poll(&polled, 1, -1) < 0 && errno == EINTR) {
  }
  if (!ReceiveRequest(socket, request).ok()) _exit(1);
  if (ServerTag::Is(request.tag)) Server(socket, std::move(request)).Run();
  if (AdoptTag::Is(request.tag)) {
    if (request.fds.size() != 4) _exit(1);
    Supervisor supervisor(request.fds[1].release(), g_handler.admit, g_handler.make_slot, std::move(request.bytes), std::move(request.fds[0]));
    supervisor.Adopt(std::move(request.fds[2]), std::move(request.fds[3]), AdoptTag::Decode(request.tag).pid);
    close(socket);
    supervisor.Run();
  }
  if (request.fds.size() != 1) _exit(1);
  Supervisor(socket, g_handler.admit, g_handler.make_slot, std::move(request.bytes), std::move(request.fds[0])).Run();
}

}  // namespace

void ServeTemplate(int socket, Request first) { Server(socket, std::move(first)).Serve(); }

void RestoreLimitsAtBirth() {
  const auto restore = [](auto resource, const rlimit& at_birth) {
    const rlimit& now = g_own_birth.rlimits[resource];
    if (at_birth.rlim_cur != now.rlim_cur || at_birth.rlim_max != now.rlim_max) setrlimit(resource, &at_birth);
  };
  restore(RLIMIT_NOFILE, g_limits_at_birth.open_files);
  restore(RLIMIT_STACK, g_limits_at_birth.stack);
}

const Birth& BirthOfServer() { return g_own_birth; }

bool ServeForks(const ForkHandler& handler) {
  g_handler = handler;
  SetServerMain(RunServer);
  return true;
}

}  // namespace brood::internal
