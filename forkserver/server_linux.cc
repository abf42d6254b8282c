#include "forkserver/server.h"

#include <poll.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/thread_count.h"
#include "bootstrap/bootstrap.h"
#include "forkserver/owner_watch.h"
#include "forkserver/preload.h"
#include "forkserver/settle.h"
#include "serialization/messages.h"

namespace brood::internal {
namespace {

ForkHandler g_handler;

class Server {
 public:
  explicit Server(int socket) : socket_(socket) {}

  [[noreturn]] void Run() {
    prctl(PR_SET_NAME, "brood-server", 0, 0, 0);
    // Signals for the caller's group, such as the terminal's, are not for us; its session remains ours, and that of the
    // children. A stopped server would stop its client.
    setpgid(0, 0);
    RaiseFileLimit();
    const absl::Status started = Start();
    if (!started.ok()) {
      Note(ServerNote::Kind::kFailed, started.message());
      _exit(1);
    }
    Note(ServerNote::Kind::kReady, settled_);
    while (true) Step();
  }

 private:
  // The client's limit of today says nothing about what it sends tomorrow. The child gets the client's.
  static void RaiseFileLimit() {
    rlimit limit = {};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }

  void Note(ServerNote::Kind kind, std::string_view text) const {
    ServerNote note;
    note.kind = kind;
    memcpy(note.text, text.data(), std::min(text.size(), sizeof(note.text) - 1));
    // Nobody is there to hear if that fails.
    (void)send(socket_, &note, sizeof(note), MSG_NOSIGNAL);
  }

  absl::Status Start() {
    Request request;
    pollfd polled = {socket_, POLLIN, 0};
    while (poll(&polled, 1, -1) < 0 && errno == EINTR) {
    }
    BROOD_RETURN_IF_ERROR(ReceiveRequest(socket_, request));
    BROOD_ASSIGN_OR_RETURN(const PreparationData preparation, DecodePreparationData(request.bytes));
    if (request.fds.size() != 1) return absl::DataLossError("the server was not told who owns it");
    owner_ = std::move(request.fds[0]);
    if (!preparation.preload.empty()) {
      OwnerWatch watch;
      BROOD_RETURN_IF_ERROR(watch.Start(owner_.get()));
      LetSignalsIn();
      for (const std::string& name : preparation.preload) {
        Note(ServerNote::Kind::kPreloading, name);
        BROOD_RETURN_IF_ERROR(Preload(name));
        BROOD_RETURN_IF_ERROR(Annotate(CheckThreads(), absl::StrCat("preload ", name)));
      }
    }
    BROOD_RETURN_IF_ERROR(CheckThreads());
    BROOD_RETURN_IF_ERROR(LeaveStreams());
    BROOD_ASSIGN_OR_RETURN(settled_, SettlePreload(preparation.freeze));
    return WatchSignals();
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
    return absl::FailedPreconditionError(
        absl::StrCat("it left ", threads - 1, " thread(s) running, and a lock that one of them holds at a fork would be held ",
                     "for ever in the child; start threads in the children, or join them"));
  }

  // What was printed so far is the user's, and nothing later is: a child must not print it again, and a reader of our
  // streams would wait for their end.
  static absl::Status LeaveStreams() {
    const bool flushed = std::fflush(stdout) == 0;
    std::cout.flush();
    std::fflush(stderr);
    if (!flushed) return ErrnoStatus(errno, "flush", "stdout after the preload");
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return ErrnoStatus(errno, "open", "/dev/null");
    for (int stream = 0; stream < 3; ++stream) {
      if (dup2(null, stream) < 0) return ErrnoStatus(errno, "dup2");
    }
    if (null > 2) close(null);
    return absl::OkStatus();
  }

  // Whatever the preload has done to signals: none ends a server, and that of a child that has ended wakes it.
  absl::Status WatchSignals() {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, nullptr);
    signal(SIGCHLD, SIG_DFL);
    const uint64_t mask = uint64_t{1} << (SIGCHLD - 1);
    signals_.reset(static_cast<int>(syscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC | SFD_NONBLOCK)));
    return signals_.valid() ? absl::OkStatus() : ErrnoStatus(errno, "signalfd");
  }

  void Step() {
    pollfd polls[] = {{owner_.get(), POLLIN, 0}, {socket_, POLLIN, 0}, {signals_.get(), POLLIN, 0}};
    if (poll(polls, 3, -1) < 0) return;
    if (polls[0].revents != 0) _exit(0);
    if (polls[2].revents != 0) Reap();
    if (polls[1].revents != 0) Serve();
  }

  void Reap() const {
    signalfd_siginfo ignored[16];
    while (read(signals_.get(), ignored, sizeof(ignored)) > 0) {
    }
    while (waitpid(-1, nullptr, WNOHANG | __WALL) > 0) {
    }
  }

  void Serve() {
    Request request;
    const absl::Status received = ReceiveRequest(socket_, request);
    if (absl::IsOutOfRange(received)) _exit(0);
    if (!received.ok()) return g_handler.refuse(request, 0, received.message());
    if (const absl::Status threads = CheckThreads(); !threads.ok()) return g_handler.refuse(request, 0, threads.message());
    const pid_t pid = fork();
    if (pid < 0) return g_handler.refuse(request, errno, "fork the guardian; see the limits of processes and memory");
    if (pid > 0) {
      explicit_bzero(request.bytes.data(), request.bytes.size());  // The next fork's memory is ours as it is then.
      return;
    }
    close(socket_);
    owner_.reset();
    signals_.reset();
    g_handler.run(request);
    _exit(125);
  }

  const int socket_;
  UniqueFd owner_;
  UniqueFd signals_;
  std::string settled_;
};

[[noreturn]] void RunServer(int socket) { Server(socket).Run(); }

}  // namespace

bool ServeForks(const ForkHandler& handler) {
  g_handler = handler;
  SetServerMain(RunServer);
  return true;
}

}  // namespace brood::internal
