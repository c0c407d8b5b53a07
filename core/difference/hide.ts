import type { SecretRule } from "../conf/secrets.ts";
import { secretRules } from "../conf/secrets.ts";
import type { Detail, EffectiveDifference } from "../difference.ts";
import { mask } from "./thing.ts";

/** The same differences without the values that only these rules know for secrets. Pure. */
export function hideDeclaredSecrets(
  differences: readonly EffectiveDifference[],
  rules: readonly SecretRule[],
): readonly EffectiveDifference[] {
  if (rules === secretRules) return differences;
  return differences.map((difference) => ({
    ...difference,
    effects: difference.effects.map((effect) => ({
      ...effect,
      details: effect.details.map((detail) => hidden(detail, rules)),
    })),
  }));
}

function hidden(detail: Detail, rules: readonly SecretRule[]): Detail {
  const { file, name, old, new: now, ...rest } = detail;
  const [oldShown, nowShown] = [old, now].map((value) =>
    value === undefined ? undefined : mask(file, name, value, rules),
  );
  if (oldShown === old && nowShown === now) return detail;
  const isAllThatDiffers = oldShown === nowShown;
  return {
    ...{ ...rest, file, name, secret: true },
    ...(oldShown === undefined || isAllThatDiffers ? {} : { old: oldShown }),
    ...(nowShown === undefined || isAllThatDiffers ? {} : { new: nowShown }),
  };
}
