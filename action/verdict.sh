#!/usr/bin/env bash
# Says the verdict, and ends as the run ended.
set -euo pipefail

case ${CODE:-4} in
0) verdict=passed ;;
1) verdict=failed ;;
2) verdict=usage ;;
3) verdict=guest-broke ;;
*) verdict=harness-broke ;;
esac
{
	echo "verdict=$verdict"
	echo "code=${CODE:-4}"
} >>"$GITHUB_OUTPUT"
echo "$verdict"
exit "${CODE:-4}"
