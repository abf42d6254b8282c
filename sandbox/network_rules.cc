#include "sandbox/network_rules.h"

#include <linux/seccomp.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "sandbox/notice_child.h"

namespace brood {
namespace {

using Op = ArgumentRule::Op;

constexpr uint32_t Errno(int value) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(value); }

bool TakesPlace(uint32_t result) {
  return result == SECCOMP_RET_ALLOW || result == SECCOMP_RET_LOG || result == NoticeAction(Notice::kReport);
}

class Rules {
 public:
  Rules(uint32_t unlisted, FilterEntries& entries) : unlisted_(unlisted), entries_(entries) {}

  // Where the call would take place it gives `result` instead.
  void Replace(const char* name, uint32_t result) {
    FilterEntry& entry = Entry(name);
    if (TakesPlace(*entry.action)) entry.action = Instead(*entry.action, result);
    for (FilterCase& one : entry.cases) {
      if (TakesPlace(one.result)) one.result = Instead(one.result, result);
    }
  }

  // The same, for some arguments.
  void Except(const char* name, std::vector<ArgumentRule> args, uint32_t result) {
    if (!CanTakePlace(name)) return;
    FilterEntry& entry = Entry(name);
    entry.cases.insert(entry.cases.begin(), {std::move(args), Instead(*entry.action, result)});
  }

  bool CanTakePlace(const char* name) {
    const FilterEntry& entry = Entry(name);
    return TakesPlace(*entry.action) ||
           std::any_of(entry.cases.begin(), entry.cases.end(), [](const FilterCase& one) { return TakesPlace(one.result); });
  }

 private:
  // What is to be counted is that all the same.
  static uint32_t Instead(uint32_t of, uint32_t result) {
    const bool counted = of == NoticeAction(Notice::kReport) && result == NoticeAction(Notice::kConnect);
    return counted ? NoticeAction(Notice::kReportedConnect) : result;
  }

  FilterEntry& Entry(const char* name) {
    FilterEntry& entry = entries_[seccomp_syscall_resolve_name(name)];
    if (!entry.action.has_value()) entry.action = unlisted_;
    return entry;
  }

  const uint32_t unlisted_;
  FilterEntries& entries_;
};

ArgumentRule Is(unsigned index, uint64_t value) { return {.index = index, .op = Op::kEqual, .value = value, .width = 32}; }

// It connects, and where connect(2) is looked at, nobody looks at it. tcp(7), TCP_FASTOPEN.
void RefuseFastOpen(Rules& rules) {
  for (const auto& [name, flags] : {std::pair{"sendto", 3u}, {"sendmsg", 2u}, {"sendmmsg", 3u}}) {
    rules.Except(name, {{.index = flags, .op = Op::kMaskedEqual, .value = MSG_FASTOPEN, .mask = MSG_FASTOPEN, .width = 32}},
                 Errno(EOPNOTSUPP));
  }
}

}  // namespace

void LeaveTcpToLandlock(const Policy& policy, uint32_t unlisted, FilterEntries& entries) {
  const bool no_network = policy.network.mode == NetworkMode::kNone || policy.network.mode == NetworkMode::kLoopback;
  if (!no_network || policy.allow_weaker.count(Layer::kNet) == 0) return;
  Rules rules(unlisted, entries);
  RefuseFastOpen(rules);
}

absl::Status ServeConnections(const Network& network, uint32_t unlisted, FilterEntries& entries) {
  if (network.mode != NetworkMode::kAllow) return absl::OkStatus();
  Rules rules(unlisted, entries);
  if (rules.CanTakePlace("io_uring_setup")) {
    return absl::InvalidArgumentError(
        "syscalls: io_uring_setup is allowed, and network has a list of destinations: io_uring connects past every filter; "
        "refuse @io-uring");
  }
  rules.Replace("connect", NoticeAction(Notice::kConnect));
  // A connection that failed leaves a socket of the machine's network, which must not become a server there.
  rules.Replace("listen", Errno(EACCES));
  const bool unix_sockets =
      std::any_of(network.to.begin(), network.to.end(), [](const std::string& to) { return to.rfind("unix:", 0) == 0; });
  // A local socket of the machine's could take a name there.
  if (unix_sockets) rules.Replace("bind", Errno(EACCES));
  // A datagram to an address, so that it is told where it did not go. Whether a message has one stands in memory.
  rules.Except("sendto", {{.index = 4, .op = Op::kNotEqual, .value = 0}}, NoticeAction(Notice::kConnect));
  RefuseFastOpen(rules);
  for (const char* name : {"sendmsg", "sendmmsg"}) rules.Replace(name, NoticeAction(Notice::kConnect));
  // One of datagrams, one of a pair too, reaches whatever socket has a name in a directory that is shown. 3: unix(7) makes it 2.
  for (const char* name : {"socket", "socketpair"}) {
    for (const uint64_t type : {SOCK_DGRAM, SOCK_RAW}) {
      rules.Except(name, {Is(0, AF_UNIX), {.index = 1, .op = Op::kMaskedEqual, .value = type, .mask = 0xf, .width = 32}}, Errno(EACCES));
    }
  }
  // These name the machine's interfaces. netdevice(7).
  rules.Except("ioctl",
               {{.index = 1, .op = Op::kGreaterOrEqual, .value = 0x8910, .width = 32},
                {.index = 1, .op = Op::kLessOrEqual, .value = 0x89ff, .width = 32}},
               Errno(ENOTTY));
  // Options by which packets of a connection go elsewhere first. ip(7), ipv6(7).
  rules.Except("setsockopt", {Is(1, IPPROTO_IP), Is(2, IP_OPTIONS)}, Errno(EPERM));
  for (const int option : {IPV6_2292RTHDR, IPV6_2292PKTOPTIONS, IPV6_HOPOPTS, IPV6_RTHDRDSTOPTS, IPV6_RTHDR, IPV6_DSTOPTS}) {
    rules.Except("setsockopt", {Is(1, IPPROTO_IPV6), Is(2, static_cast<uint64_t>(option))}, Errno(EPERM));
  }
  return absl::OkStatus();
}

}  // namespace brood
