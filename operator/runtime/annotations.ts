/** What a user may ask for by an annotation, in the order in which it is done. */
export const requestVerbs = ["reconcile", "test", "upload", "download", "reload", "restart"] as const;
export type RequestVerb = (typeof requestVerbs)[number];

/** A request of a user that was not handled yet. */
export interface AnnotationRequest {
  readonly verb: RequestVerb;
  /** The annotation's value; by convention the time, but any value that was not handled counts. */
  readonly requestedAt: string;
}

/** `status.handledRequests`: for each verb the value that was handled last. */
export type HandledRequests = Readonly<Partial<Record<RequestVerb, string>>>;

/** The name of a verb's annotation. */
export function requestAnnotation(verb: RequestVerb): string {
  return `asterisk-iac.dev/${verb}-requested-at`;
}

/**
 * The requests in an object's annotations that its status does not hold as handled. Each is acted on at most once if
 * `handled` is stored before it is acted on: see `withHandled`.
 */
export function newRequests(
  annotations: Readonly<Record<string, string>> | undefined,
  handled: HandledRequests | undefined,
): AnnotationRequest[] {
  return requestVerbs.flatMap((verb) => {
    const requestedAt = annotations?.[requestAnnotation(verb)];
    const isNew = requestedAt !== undefined && requestedAt !== "" && requestedAt !== handled?.[verb];
    return isNew ? [{ verb, requestedAt }] : [];
  });
}

/** `status.handledRequests` with one more request handled. */
export function withHandled(
  handled: HandledRequests | undefined,
  { verb, requestedAt }: AnnotationRequest,
): HandledRequests {
  return { ...handled, [verb]: requestedAt };
}
