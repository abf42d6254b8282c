// What a keeper says of a child, as what a guardian would: of who has leased that keeper.
#ifndef BROOD_LAUNCHER_KEEPER_REPORT_H_
#define BROOD_LAUNCHER_KEEPER_REPORT_H_

#include "forkserver/keeper_child.h"
#include "launcher/launch_record.h"

namespace brood::internal {

// Of an end, or of a birth that was refused.
GuardianReport ReportOf(const child::KeeperNote& note);

}  // namespace brood::internal

#endif  // BROOD_LAUNCHER_KEEPER_REPORT_H_
