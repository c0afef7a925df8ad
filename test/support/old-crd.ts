/** The shape of the old operator's CRD: no rules, and a status without our fields. */
export const oldCrd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: onepassworditems.onepassword.com}
spec:
  group: onepassword.com
  names: {kind: OnePasswordItem, listKind: OnePasswordItemList, plural: onepassworditems, singular: onepassworditem}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            apiVersion: {type: string}
            kind: {type: string}
            metadata: {type: object}
            type: {type: string}
            spec: {type: object, properties: {itemPath: {type: string}}}
            status:
              type: object
              required: [conditions]
              properties:
                conditions:
                  type: array
                  items:
                    type: object
                    required: [status, type]
                    properties:
                      lastTransitionTime: {type: string, format: date-time}
                      message: {type: string}
                      status: {type: string}
                      type: {type: string}
`;
