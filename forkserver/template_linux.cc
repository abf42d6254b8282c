#include "forkserver/template.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/fd_message_child.h"
#include "base/server_birth_child.h"
#include "base/status.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/finalizer.h"
#include "forkserver/server.h"

extern char** environ;

namespace brood::internal {
namespace {

struct Header {
  uint32_t magic = 0x50545242;  // "BRTP", where a flatbuffer has the place of its root.
  uint32_t done = 0;            // Preloads of the server's own.
};

void Send(int socket, ServerNote::Kind kind, std::string_view text, int fd = -1) {
  ServerNote note;
  note.kind = kind;
  note.SetText(text);
  const iovec part = {&note, sizeof(note)};
  // Nobody is there to hear if that fails.
  (void)child::SendWithFds(socket, &part, 1, &fd, fd >= 0 ? 1 : 0, MSG_DONTWAIT);
}

class TemplateCharge : public Charge {
 public:
  explicit TemplateCharge(Supervisor& supervisor) : supervisor_(supervisor) {}

  void OnSent(std::vector<UniqueFd>& fds) override { socket_ = std::move(fds[0]); }
  // Or its end would not be seen.
  void OnBorn(pid_t /*pid*/, int /*pidfd*/) override { socket_.reset(); }
  void OnOwnerGone() override { supervisor_.Kill(place); }
  void OnEnded(std::unique_ptr<Charge> /*self*/, const child::KeeperNote& /*note*/) override {}
  void OnRefused(int error, std::string_view why) override {
    const std::string text = error != 0 ? std::string(ErrnoStatus(error, why).message()) : std::string(why);
    if (socket_.valid()) Send(socket_.get(), ServerNote::Kind::kFailed, absl::StrCat("template: ", text));
  }
  void OnLost() override {}

 private:
  Supervisor& supervisor_;
  UniqueFd socket_;
};

// Of what a keeper and its server have open, and we have copies of.
void CloseAllBut(std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned from = 3;
  for (const int fd : kept) {
    if (static_cast<unsigned>(fd) > from) syscall(SYS_close_range, from, static_cast<unsigned>(fd) - 1, 0);
    from = static_cast<unsigned>(fd) + 1;
  }
  syscall(SYS_close_range, from, UINT_MAX, 0);
}

// What the birth of a template needs, in the keeper's child.
struct TemplateBirth {
  UniqueFd client, owner;
  UniqueFd streams[3];
  UniqueFd self;                // A descriptor of this process.
  UniqueFd server, supervisor;  // The two ends of what lies between the two.
  UniqueFd executable;
};

absl::Status BecomeSupervisor(TemplateBirth& birth, const std::string& preparation, int server) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
  const UniqueFd reader(pair[0]), writer(pair[1]);
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, server, 0)));
  if (!pidfd.valid()) return ErrnoStatus(errno, "pidfd_open");
  BROOD_RETURN_IF_ERROR(SendRequest(writer.get(), preparation,
                                    {birth.owner.get(), birth.client.get(), birth.supervisor.get(), pidfd.get()},
                                    {.tag = AdoptTag{.pid = server}.Encode()}));
  // The one that is at this place closes by that.
  const UniqueFd executable(fcntl(birth.executable.get(), F_DUPFD_CLOEXEC, child::kServerSocket + 1));
  if (!executable.valid() || dup2(fcntl(reader.get(), F_DUPFD_CLOEXEC, child::kServerSocket + 1), child::kServerSocket) < 0) {
    return ErrnoStatus(errno, "dup2");
  }
  RestoreLimitsAtBirth();  // For a server that has to take the place of this one.
  const std::string number = absl::StrCat(child::kServerSocket);
  const char* const argv[] = {program_invocation_name, kServerFlag, number.c_str(), nullptr};
  syscall(SYS_execveat, executable.get(), "", argv, environ, AT_EMPTY_PATH);
  return ErrnoStatus(errno, "execute", "the program as a supervisor");
}

absl::Status Bear(TemplateBirth& birth, const PreparationData& all, size_t done) {
  birth.self.reset(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  birth.executable.reset(open("/proc/self/exe", O_PATH | O_CLOEXEC));
  int pair[2];
  if (!birth.self.valid()) return ErrnoStatus(errno, "pidfd_open");
  if (!birth.executable.valid()) return ErrnoStatus(errno, "open", "/proc/self/exe");
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return ErrnoStatus(errno, "socketpair");
  birth.supervisor.reset(pair[0]);
  birth.server.reset(pair[1]);
  PreparationData more = all;
  more.preload.erase(more.preload.begin(), more.preload.begin() + static_cast<std::ptrdiff_t>(done));
  const std::string bytes = EncodePreparationData(more);
  const pid_t pid = _Fork();
  if (pid < 0) return ErrnoStatus(errno, "fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // Until it sees the end of its socket.
    for (int stream = 0; stream < 3; ++stream) dup2(birth.streams[stream].get(), stream);
    CloseAllBut({birth.server.get(), birth.self.get()});
    for (UniqueFd* closed : {&birth.client, &birth.owner, &birth.streams[0], &birth.streams[1], &birth.streams[2], &birth.supervisor,
                             &birth.executable}) {
      (void)closed->release();
    }
    Request first;
    first.bytes = bytes;
    first.fds.push_back(std::move(birth.self));
    ServeTemplate(birth.server.release(), std::move(first));
  }
  Send(birth.client.get(), ServerNote::Kind::kBorn, "", birth.self.get());
  return BecomeSupervisor(birth, EncodePreparationData(all), pid);
}

}  // namespace

std::string EncodeTemplate(const PreparationData& preparation, size_t done) {
  const Header header = {.done = static_cast<uint32_t>(done)};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  return bytes + EncodePreparationData(preparation);
}

bool IsTemplate(std::string_view bytes) {
  Header header = {.magic = 0};
  if (bytes.size() >= sizeof(header)) memcpy(&header, bytes.data(), sizeof(header));
  return header.magic == Header().magic;
}

void PlaceTemplate(Supervisor& supervisor, Request request) {
  if (!IsTemplate(request.bytes) || request.fds.size() != kTemplateFds) return;  // Its sender sees the end of its socket.
  Order order;
  order.charge = std::make_unique<TemplateCharge>(supervisor);
  order.bytes = std::move(request.bytes);
  order.fds = std::move(request.fds);
  order.tell_birth = true;
  supervisor.Place(std::move(order));
}

void RunTemplate(Request& request) {
  // As any child of a keeper, also if that has been killed before this.
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (getppid() != request.sender || request.fds.size() != kTemplateFds) _exit(1);
  ForgetFinalizers();
  TemplateBirth birth;
  birth.client = std::move(request.fds[0]);
  birth.owner = std::move(request.fds[1]);
  for (size_t i = 0; i < 3; ++i) birth.streams[i] = std::move(request.fds[2 + i]);
  CloseAllBut({birth.client.get(), birth.owner.get(), birth.streams[0].get(), birth.streams[1].get(), birth.streams[2].get()});
  Header header;
  memcpy(&header, request.bytes.data(), sizeof(header));
  const absl::StatusOr<PreparationData> all = DecodePreparationData(request.bytes.substr(sizeof(header)));
  absl::Status failed = all.status();
  if (all.ok() && header.done > all->preload.size()) failed = absl::DataLossError("more is preloaded than is to be");
  if (failed.ok()) failed = Bear(birth, *all, header.done);
  Send(birth.client.get(), ServerNote::Kind::kFailed, absl::StrCat("template: ", failed.message()));
  _exit(1);
}

}  // namespace brood::internal
