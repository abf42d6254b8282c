// Why this machine refuses a layer, and the command or setting that would change it: for `brood doctor`.
#ifndef BROOD_SANDBOX_ADVICE_H_
#define BROOD_SANDBOX_ADVICE_H_

#include <string>
#include <string_view>

#include "sandbox/layer.h"

namespace brood {

struct Advice {
  std::string why;     // "user.max_user_namespaces is 0"
  std::string remedy;  // "sysctl -w user.max_user_namespaces=15000"
};

// Of the errno with which the kernel refused a user namespace; any other of the namespaces, made together with that; and a new
// procfs in them.
Advice UserNamespaceAdvice(int error);
Advice NamespaceAdvice(Layer layer, int error);
Advice NewProcAdvice(int error);

// Of the cgroups in which brood could make groups for children, with those controllers.
Advice CgroupAdvice(std::string_view controllers = "memory pids cpuacct");

// Of the errno of landlock_create_ruleset(2).
Advice LandlockAdvice(int error);

}  // namespace brood

#endif  // BROOD_SANDBOX_ADVICE_H_
