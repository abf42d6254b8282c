// What Windows makes of a policy. For sandbox/ and launcher/.
#ifndef BROOD_SANDBOX_WINDOWS_PLAN_H_
#define BROOD_SANDBOX_WINDOWS_PLAN_H_

namespace brood {

struct PlatformPlan {};  // All that can be enforced so far, the job and the wall time, is in the policy itself.

}  // namespace brood

#endif  // BROOD_SANDBOX_WINDOWS_PLAN_H_
