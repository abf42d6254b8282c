// Connects for a child that may reach only what is on a list.
//
// The child has a network of its own, with nothing in it. Its connect(2) comes here: the address is copied out of its memory
// once, looked up in the list, and a socket of the guardian's network is connected to it and put in the place of the child's.
// No call of the child's goes on with an address that it could still change. Nothing waits here: a connection that takes time
// is left to the kernel and looked after when it is done, so that a silent host holds up nobody else.
//
// A socket that the child got is connected, or about to be. Its filter leaves no other way to use it: connect comes here, listen
// and MSG_FASTOPEN are refused. sandbox/network_rules.h
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_CONNECT_SERVICE_CHILD_H_
#define BROOD_LAUNCHER_CONNECT_SERVICE_CHILD_H_

#include <linux/seccomp.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "launcher/launch_record.h"

namespace brood::child {

class ConnectService {
 public:
  explicit ConnectService(const ChildPlan& plan) : plan_(plan) {}

  // A connect(2), or a call that sends, that `listener` told of. What is refused goes into `report`.
  void Handle(int listener, const seccomp_notif& call, GuardianReport* report);

  // Readable when a connection has been made or has failed; -1 as long as none is waited for.
  int pending() const { return epoll_; }
  void OnPending(int listener);

 private:
  // What is known of the call, all of it copied.
  struct Call {
    uint64_t id = 0;
    int fd = -1;  // The child's number.
    bool blocking = true;
    bool close_on_exec = false;
    int domain = 0;
    int type = 0;
    int protocol = 0;
    sockaddr_storage address = {};
    socklen_t length = 0;
  };
  struct Pending {
    uint64_t id;
    uint64_t give_up;                // When the program waits no longer; 0: never. MonotonicNanoseconds().
    const DestinationRecord* again;  // A local socket whose queue was full.
    int socket;                      // -1: the place is free.
    int fd;
    bool close_on_exec;
  };

  void HandleSend(int listener, const seccomp_notif& notification, GuardianReport* report);
  // These return 0 or the errno value that the child gets.
  int Read(int listener, const seccomp_notif& call, uint64_t address, uint64_t length, int own, Call* out) const;
  int HandleConnect(int listener, const seccomp_notif& notification, int own, GuardianReport* report);
  int StateOf(int own, const Call& call) const;
  int Connect(int listener, int own, const Call& call, const DestinationRecord& destination);
  bool Await(int listener, int own, const Call& call, int socket, const DestinationRecord* again);
  bool SetTicking(bool on);
  void OnTick(int listener);
  void End(int listener, Pending& one, int error);

  const DestinationRecord* Find(const Call& call) const;
  bool MatchesAddress(const DestinationRecord& destination, const sockaddr_storage& address) const;
  static void Refuse(const Call& call, GuardianReport* report);
  Pending* Free(int listener);
  static bool Install(int listener, uint64_t id, int socket, int fd, bool close_on_exec);
  static void Answer(int listener, uint64_t id, int error);

  static constexpr size_t kMaxPending = 768;  // Each has a descriptor of the guardian's, who needs some more of the usual 1,024.

  const ChildPlan& plan_;
  int epoll_ = -1;
  int timer_ = -1;
  bool ticks_ = false;
  // Mapped when there is one. Those behind the first `used_` were never touched, so that they cost no page.
  Pending* pending_ = nullptr;
  size_t used_ = 0;
};

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_CONNECT_SERVICE_CHILD_H_
