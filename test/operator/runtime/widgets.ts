import type { KubernetesObject, ResourceKind } from "../../../operator/runtime/objects.ts";

/** A kind of objects for the tests of the runtime, with status as a subresource. */
export interface Widget extends KubernetesObject {
  readonly spec?: { readonly size?: number };
  readonly status?: { readonly phase?: string; readonly note?: string };
}

export const widgetKind: ResourceKind = {
  apiVersion: "test.asterisk-iac.dev/v1",
  kind: "Widget",
  plural: "widgets",
};

export const widgetDefinition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.test.asterisk-iac.dev }
spec:
  group: test.asterisk-iac.dev
  names: { kind: Widget, plural: widgets, singular: widget }
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      subresources: { status: {} }
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: { type: object, properties: { size: { type: integer } } }
            status: { type: object, properties: { phase: { type: string }, note: { type: string } } }
`;

export function widget(name: string, more: Partial<Widget["metadata"]> = {}): Widget {
  return { metadata: { namespace: "default", name, ...more }, spec: { size: 1 } };
}
